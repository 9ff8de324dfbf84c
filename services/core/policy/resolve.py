"""From a model's name to the targets that serve it."""

from __future__ import annotations

from dataclasses import replace

from services.core.policy.documents import Capabilities, Model, Prices
from services.core.policy.names import split_model
from services.core.policy.ports import Catalogue, CatalogueEntry
from services.core.policy.snapshot import CompiledProvider, Snapshot, Target

_NOTHING = CatalogueEntry()


def make_target(provider: CompiledProvider, rest: str, overlay: Model | None, catalogue: Catalogue) -> Target:
    """The target of model `rest` at `provider`: the operator's facts over the catalogue's."""
    upstream = overlay.upstream_model if overlay is not None and overlay.upstream_model else rest
    known = catalogue.look_up(provider.type, provider.name, provider.base_url, upstream) or _NOTHING
    target = Target(
        model=f"{provider.name}/{rest}",
        provider=provider,
        upstream_model=upstream,
        api=overlay.api if overlay is not None else "",
        context_length=known.context_length,
        capabilities=known.capabilities,
        prices=known.prices,
    )
    if overlay is None:
        return target
    return replace(
        target,
        context_length=overlay.context_length or known.context_length,
        capabilities=_laid_over(overlay.capabilities, known.capabilities),
        prices=_prices_over(overlay.prices, known.prices),
    )


def _laid_over(upper: Capabilities | None, lower: Capabilities) -> Capabilities:
    if upper is None:
        return lower
    return Capabilities(
        tools=lower.tools if upper.tools is None else upper.tools,
        vision=lower.vision if upper.vision is None else upper.vision,
        prefill=lower.prefill if upper.prefill is None else upper.prefill,
    )


def _prices_over(upper: Prices | None, lower: Prices) -> Prices:
    """An operator's prices replace the catalogue's whole: half of one and half of the other is nobody's price."""
    return lower if upper is None else upper


def resolve(snapshot: Snapshot, model: str) -> tuple[Target, ...]:
    """The targets that serve `model` ("provider/model", bare, or an alias), best first; empty: nothing does."""
    model = snapshot.aliases.get(model, model)
    target = snapshot.models.get(model)
    if target is not None:
        return (target,)
    name, rest = split_model(model)
    provider = snapshot.providers.get(name) if name else None
    if provider is not None:
        return (make_target(provider, rest, None, snapshot.catalogue),)
    listed = snapshot.bare_models.get(model)
    if listed:
        return tuple(snapshot.models[m] for m in listed)
    serving = [snapshot.providers[n] for n in snapshot.catalogue.providers_of(model) if n in snapshot.providers]
    return tuple(make_target(p, model, None, snapshot.catalogue) for p in serving)
