"""What the `model` of a request names: a router, a target, an automatic choice; and what suffixes ask for.

What policy names wins over every rule below, so a model may be called "qwen3:thinking" or "auto". Suffixes
also stay as they are for providers that know them: another OpenRouter, or a gateway labelled `suffixes: "true"`.

    provider/model:nitro      sorted by throughput            auto, openrouter/auto   an automatic choice
    provider/model:floor      sorted by price                 @preset/x               the router x
    provider/model:exacto, :online                            dropped here
    provider/model:free, :thinking, :extended, :beta          as it stands, then without it
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from services.core.policy.names import AUTO, AUTO_NAMES, split_model
from services.core.policy.preferences import PRICE, THROUGHPUT, SortKey, by
from services.core.policy.resolve import resolve
from services.core.policy.snapshot import CompiledProvider, CompiledRouter, Snapshot, Target
from services.core.values import Value, changed

ONLINE = "online"
PRESET = "@preset/"
_SORTS: Mapping[str, tuple[SortKey, ...]] = {
    "nitro": (by(THROUGHPUT),),
    "floor": (by(PRICE),),
    "exacto": (),
    ONLINE: (),
}
"""Suffixes that say how to route; they are no part of a model's name."""
_VARIANTS = frozenset({"free", "thinking", "extended", "beta"})
"""Suffixes that are part of names in OpenRouter's catalogue, and unknown to most vendors."""


class Named(Value, frozen=True):
    """What a name means. At most one of `router`, `auto` and `targets` is set; none: nothing serves it.

    Attributes:
        model: The name without what was taken off it.
        sort: What its suffix asks candidates to be sorted by.
        refusal: Why it cannot be served, when there is a better reason than that nothing does.
    """

    model: str
    router: CompiledRouter | None = None
    auto: bool = False
    targets: tuple[Target, ...] = ()
    sort: tuple[SortKey, ...] = ()
    warnings: tuple[str, ...] = ()
    refusal: str = ""


def named(snapshot: Snapshot, model: str) -> Named:
    """What `model` means under `snapshot`."""
    meant = snapshot.aliases.get(model)
    if meant is not None:
        return changed(named(snapshot, meant), model=model)
    router = _router(snapshot, model)
    if router is not None and "/" in model:
        return Named(model, router=router)
    if router is not None or model in snapshot.models or model in snapshot.bare_models:
        # Policy itself has a word for it, exactly as it stands.
        return _plain(snapshot, model)
    if model in AUTO_NAMES and split_model(model)[0] not in snapshot.providers:
        return Named(AUTO, auto=True)
    if PRESET in model:
        return _preset(snapshot, model)
    base, _, suffix = model.rpartition(":")
    if not base or not (suffix in _SORTS or suffix in _VARIANTS) or _knows_suffixes(snapshot, model):
        return _plain(snapshot, model)
    found = named(snapshot, base)
    if suffix in _SORTS:
        return changed(found, sort=found.sort or _SORTS[suffix])
    return _variant(snapshot, model, found)


def is_online(model: str) -> bool:
    """Whether the name asks for a search of the web (`:online`)."""
    return ONLINE in model.split(":")[1:]


def _router(snapshot: Snapshot, model: str) -> CompiledRouter | None:
    namespace, _, name = model.partition("/")
    if name:
        return snapshot.routers.get(name) if namespace == snapshot.namespace else None
    return snapshot.routers.get(model) if model not in snapshot.bare_models else None


def _plain(snapshot: Snapshot, model: str) -> Named:
    router = _router(snapshot, model)
    targets = () if router is not None and "/" in model else resolve(snapshot, model)
    # A bare name is a model's before it is a router's.
    return Named(model, targets=targets) if targets else Named(model, router=router)


def _knows_suffixes(snapshot: Snapshot, model: str) -> bool:
    provider = snapshot.providers.get(split_model(model)[0])
    return provider is not None and _is_gateway(provider)


def _is_gateway(provider: CompiledProvider) -> bool:
    host = provider.base_url.split("://", 1)[-1].split("/", 1)[0]
    return host.removeprefix("api.") == "openrouter.ai" or provider.labels.get("suffixes") == "true"


def _variant(snapshot: Snapshot, model: str, found: Named) -> Named:
    """A catalogue variant: as it stands where that may exist, and without the suffix behind it."""
    if not found.targets or all(_is_known(snapshot, t) for t in found.targets):
        return found
    return changed(
        found, model=model, targets=tuple({t.model: t for t in (*resolve(snapshot, model), *found.targets)}.values())
    )


def _is_known(snapshot: Snapshot, target: Target) -> bool:
    """Whether policy or catalogue know the target, so that a longer name is none of its provider's."""
    return target.model in snapshot.models or bool(target.context_length or target.prices.input_per_million)


def _preset(snapshot: Snapshot, model: str) -> Named:
    base, _, slug = model.partition(PRESET)
    name = slug.partition(":")[0]
    if base:
        told = f"the preset {name!r} was not applied: the request names a model too; call '{PRESET}{name}' for it"
        return changed(named(snapshot, base), warnings=(told,))
    router = snapshot.routers.get(name)
    if router is None:
        told = f"there is no preset {name!r}: presets are routers here, and there is no router of that name"
        return Named(model, refusal=told)
    return Named(f"{snapshot.namespace}/{name}", router=router)


def unknown(snapshot: Snapshot, model: str) -> str:
    """The message for a name that nothing serves, with names that look like it."""
    known = [*snapshot.models, *snapshot.aliases, *(f"{snapshot.namespace}/{r}" for r in snapshot.routers)]
    close = difflib.get_close_matches(model, known, n=3)
    namespace, _, name = model.partition("/")
    if name and namespace == snapshot.namespace:
        told = f"there is no router {name!r}"
    elif name and namespace not in snapshot.providers:
        told = f"there is no provider {namespace!r} for the model {model!r}"
    else:
        told = f"nothing serves the model {model!r}"
    return f"{told}; did you mean {' or '.join(repr(c) for c in close)}?" if close else told
