"""The one compiler of policy: documents to snapshot, or everything that is wrong with them.

The control plane runs it to admit a write, the worker to load, the CLI to
validate and simulate; so they cannot disagree. It resolves references, fills
defaults and prices, and compiles conditions. What `previous` has compiled from the
same documents is reused, so that a change of one router costs one router.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from services.core.errors import Problem
from services.core.policy.checks import check
from services.core.policy.documents import (
    Alias,
    ApiKey,
    Catalogue,
    Document,
    Model,
    Provider,
    ResourceKey,
    Router,
    Settings,
)
from services.core.policy.names import AUTO_NAMES, split_model
from services.core.policy.ports import ConditionCompiler, ModelCatalogue
from services.core.policy.preferences import label_demands
from services.core.policy.provider_types import base_url_of, protocol_of
from services.core.policy.resolve import make_target, resolve
from services.core.policy.reuse import Reused
from services.core.policy.routers import RouterCompiler
from services.core.policy.rules import (
    BreakerRule,
    ClockRule,
    Resilience,
    fault_rule,
    laid_over,
    resilience,
    set_clocks,
)
from services.core.policy.selection import unlabelled
from services.core.policy.snapshot import (
    CompiledEndpoint,
    CompiledKey,
    CompiledProvider,
    CompiledRouter,
    Snapshot,
    Target,
)
from services.core.policy.version import content_version

DEFAULT_NAMESPACE = "inworld"


@dataclass(frozen=True, slots=True)
class Problems:
    """The documents were refused. Holds at least one problem that is not a warning."""

    problems: tuple[Problem, ...]


def compile(  # noqa: A001 - the field's word, and the design's
    documents: Mapping[ResourceKey, Document],
    conditions: ConditionCompiler,
    catalogue: ModelCatalogue,
    *,
    revision: int = 0,
    previous: Snapshot | None = None,
) -> Snapshot | Problems:
    """The snapshot of `documents`, or all their problems."""
    reused = Reused(previous, documents)
    changed = (document for key, document in documents.items() if not reused.is_same(key, document))
    problems = [problem for document in changed for problem in check(document)]
    catalogue, wrong = catalogue.overlaid([d for d in documents.values() if isinstance(d, Catalogue)])
    problems.extend(wrong)
    settings = _settings(documents)
    breaker = laid_over(BreakerRule(), settings.breaker)
    providers = {d.name: compiled_provider(d, breaker) for d in documents.values() if isinstance(d, Provider)}
    models = _models(documents, providers, catalogue, problems)
    base = Snapshot(
        version=content_version(documents.values()),
        revision=revision,
        namespace=settings.namespace or DEFAULT_NAMESPACE,
        clocks=replace(ClockRule(), **set_clocks(settings.clocks)),
        resilience=resilience(Resilience(), settings),
        types=settings.metadata,
        settings_clocks=frozenset(set_clocks(settings.clocks)),
        providers=providers,
        models=models,
        routers={},
        aliases={},
        keys=_keys(documents, problems),
        bare_models=_bare(models),
        catalogue=catalogue,
        demands=label_demands(settings.require_labels, "require_labels"),
        kept_metadata=settings.record_facts.metadata_keys if settings.record_facts is not None else (),
    )
    problems.extend(_unmet(base))
    base = replace(base, aliases=_aliases(documents, base, problems))
    routers = _routers(documents, base, reused.conditions(conditions), reused, problems)
    if base.namespace in providers:
        told = f"the namespace {base.namespace!r} is a Provider's name too; routers are found first"
        problems.append(Problem("Settings", "default", "namespace", told, warning=True))
    if any(not p.warning for p in problems):
        return Problems(tuple(problems))
    models = _named(base, routers)
    return replace(base, routers=routers, models=models, warnings=tuple(problems), sources=dict(documents))


def _unmet(base: Snapshot) -> list[Problem]:
    """A demand that no provider meets leaves nothing to serve any request with."""
    left = [p for p in base.providers.values() if not unlabelled(p, base.demands)]
    if left or not base.demands or not base.providers:
        return []
    told = "; ".join(unlabelled(p, base.demands) for p in base.providers.values())
    return [Problem("Settings", "default", "require_labels", f"no provider has them all ({told})", warning=True)]


def _settings(documents: Mapping[ResourceKey, Document]) -> Settings:
    found = documents.get(ResourceKey("Settings", "default"))
    return found if isinstance(found, Settings) else Settings(name="default")


def compiled_provider(document: Provider, breaker: BreakerRule) -> CompiledProvider:
    """A provider with its addresses filled in; the first of several stands for all where one is enough."""
    endpoints = tuple(
        CompiledEndpoint(e.name, e.base_url.rstrip("/"), e.credentials or document.credentials)
        for e in document.endpoints
    )
    base_url = endpoints[0].base_url if endpoints else document.base_url or base_url_of(document.type)
    return CompiledProvider(
        name=document.name,
        type=document.type,
        protocol=protocol_of(document.type),
        base_url=base_url.rstrip("/"),
        credentials=endpoints[0].credentials if endpoints else document.credentials,
        endpoints=endpoints,
        breaker=laid_over(breaker, document.breaker),
        fault=fault_rule(document.fault),
        headers=document.headers,
        labels=document.labels,
        voices=document.voices,
        clocks=set_clocks(document.clocks),
    )


def _models(
    documents: Mapping[ResourceKey, Document],
    providers: Mapping[str, CompiledProvider],
    catalogue: ModelCatalogue,
    problems: list[Problem],
) -> dict[str, Target]:
    """The models that have a document of their own."""
    unreadable = {p.name for p in problems if p.kind == Model.__name__}
    models: dict[str, Target] = {}
    for document in documents.values():
        if isinstance(document, Model):
            name, rest = split_model(document.name)
            if name and name not in providers:
                problems.append(Problem("Model", document.name, "name", f"there is no Provider {name!r}"))
            elif name and document.name not in unreadable:
                models[document.name] = make_target(providers[name], rest, document, catalogue)
    return models


def _keys(documents: Mapping[ResourceKey, Document], problems: list[Problem]) -> dict[str, CompiledKey]:
    keys: dict[str, CompiledKey] = {}
    for document in documents.values():
        if isinstance(document, ApiKey):
            if document.hash in keys:
                told = f"is the hash of the key {keys[document.hash].name!r} too"
                problems.append(Problem("ApiKey", document.name, "hash", told))
            keys[document.hash] = CompiledKey(document.name, frozenset(document.scopes))
    return keys


def _bare(models: Mapping[str, Target]) -> dict[str, tuple[str, ...]]:
    bare: dict[str, tuple[str, ...]] = {}
    for model in sorted(models):
        rest = split_model(model)[1]
        bare[rest] = (*bare.get(rest, ()), model)
    return bare


def _aliases(documents: Mapping[ResourceKey, Document], base: Snapshot, problems: list[Problem]) -> dict[str, str]:
    """Aliases resolved to what is not an alias."""
    direct = {d.name: d.model for d in documents.values() if isinstance(d, Alias)}
    routers = {f"{base.namespace}/{d.name}" for d in documents.values() if isinstance(d, Router)}
    resolved: dict[str, str] = {}
    for name, model in direct.items():
        seen = [name]
        while model in direct and model not in seen:
            seen.append(model)
            model = direct[model]  # noqa: PLW2901 - following the chain
        if model in seen:
            problems.append(Problem("Alias", name, "model", f"leads in a circle: {' → '.join([*seen, model])}"))
        elif model not in routers and model not in AUTO_NAMES and not resolve(base, model):
            problems.append(Problem("Alias", name, "model", f"nothing in this policy serves {model!r}"))
        else:
            resolved[name] = model
    return resolved


def _routers(
    documents: Mapping[ResourceKey, Document],
    base: Snapshot,
    conditions: ConditionCompiler,
    reused: Reused,
    problems: list[Problem],
) -> dict[str, CompiledRouter]:
    routers: dict[str, CompiledRouter] = {}
    for key, document in documents.items():
        if isinstance(document, Router):
            known = reused.router(key, document)
            if known is not None:
                routers[document.name] = known
                problems.extend(reused.warnings(document.name))
                continue
            compiler = RouterCompiler(document, base, conditions)
            routers[document.name] = compiler.compile(resilience(base.resilience, document))
            problems.extend(compiler.problems)
    return routers


def _named(base: Snapshot, routers: Mapping[str, CompiledRouter]) -> dict[str, Target]:
    """Every target that policy names, by model id."""
    named = dict(base.models)
    for router in routers.values():
        for model, target in router.named.items():
            named.setdefault(model, target)
    return named
