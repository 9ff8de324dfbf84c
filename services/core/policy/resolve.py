"""From a model's name to the targets that serve it."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TypeVar

from services.core.policy.documents import Capabilities, Model, Scores
from services.core.policy.names import split_model
from services.core.policy.ports import CatalogueEntry, ModelCatalogue
from services.core.policy.snapshot import CompiledProvider, Snapshot, Target
from services.core.pricing import span_of

_NOTHING = CatalogueEntry()
_Facts = TypeVar("_Facts", Capabilities, Scores)


def make_target(provider: CompiledProvider, rest: str, overlay: Model | None, catalogue: ModelCatalogue) -> Target:
    """The target of model `rest` at `provider`: the operator's facts over the catalogue's.

    Raises:
        ValueError: A period of the operator's prices cannot be read.
    """
    asked = overlay.upstream_model if overlay is not None and overlay.upstream_model else rest
    known = catalogue.look_up(provider, asked) or _NOTHING
    upstream = (overlay.upstream_model if overlay is not None else "") or known.model or rest
    target = Target(
        model=f"{provider.name}/{rest}",
        provider=provider,
        upstream_model=upstream,
        api=known.api,
        context_length=known.context_length,
        capabilities=known.capabilities,
        prices=known.prices,
        spans=known.spans,
        max_output_tokens=known.max_output_tokens,
        display_name=known.display_name,
        kind=known.kind,
        released=known.released,
        scores=catalogue.scores_of(upstream),
    )
    return target if overlay is None else _laid_over(overlay, target)


def _laid_over(overlay: Model, target: Target) -> Target:
    # An operator's prices replace the catalogue's whole: half of one and half of the other is nobody's price.
    own = overlay.prices is not None or bool(overlay.price_periods)
    return replace(
        target,
        api=overlay.api or target.api,
        context_length=overlay.context_length or target.context_length,
        capabilities=_said_over(overlay.capabilities, target.capabilities),
        prices=overlay.prices if overlay.prices is not None else target.prices,
        spans=tuple(span_of(p) for p in overlay.price_periods) if own else target.spans,
        max_output_tokens=overlay.max_output_tokens or target.max_output_tokens,
        display_name=overlay.display_name or target.display_name,
        scores=_said_over(overlay.scores, target.scores),
    )


def _said_over(upper: _Facts | None, lower: _Facts) -> _Facts:
    if upper is None:
        return lower
    said = {f.name: getattr(upper, f.name) for f in fields(upper) if getattr(upper, f.name) is not None}
    return replace(lower, **said)


def resolve(snapshot: Snapshot, model: str) -> tuple[Target, ...]:
    """The targets that serve `model` ("provider/model", bare, "author/model", or an alias), best first; empty: none."""
    model = snapshot.aliases.get(model, model)
    target = snapshot.models.get(model)
    if target is not None:
        return (target,)
    name, rest = split_model(model)
    provider = snapshot.providers.get(name) if name else None
    if provider is not None:
        return (_target_at(snapshot, provider, rest),)
    listed = snapshot.bare_models.get(model)
    if listed:
        return tuple(snapshot.models[m] for m in listed)
    serving = snapshot.catalogue.serving(model, snapshot.providers.values())
    return tuple(_target_at(snapshot, snapshot.providers[name], theirs) for name, theirs in serving)


def _target_at(snapshot: Snapshot, provider: CompiledProvider, rest: str) -> Target:
    """The target of `rest` at `provider`, under the provider's own name for it: health and policy know it by that."""
    known = snapshot.catalogue.look_up(provider, rest)
    if known is None or known.model == rest:
        return make_target(provider, rest, None, snapshot.catalogue)
    named = snapshot.models.get(f"{provider.name}/{known.model}")
    return named if named is not None else make_target(provider, known.model, None, snapshot.catalogue)
