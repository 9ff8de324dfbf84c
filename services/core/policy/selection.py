"""What preferences say of one target: whether it may serve, and which names of providers mean it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from services.core.policy.documents import Prices
from services.core.policy.preferences import LabelDemand, Preferences, PriceLimit
from services.core.policy.snapshot import CompiledProvider, Target

UNKNOWN = "unknown"
"""What a target without a label counts as, where callers can ask for that."""

_SLUGS: Mapping[str, str] = {
    "bedrock": "amazon-bedrock",
    "gemini": "google-ai-studio",
    "google": "google-ai-studio",
    "vertex": "google-vertex",
    "moonshot": "moonshotai",
    "zai": "z-ai",
}
"""Provider types that OpenRouter calls by another name."""

SLUG_LABEL = "slug"
"""Label of a provider with further names that callers may use for it, separated by commas."""


def names_provider(word: str, provider: CompiledProvider) -> bool:
    """Whether `word`, a name or a slug with or without a region or quantization, means `provider`."""
    if word == provider.name:
        return True
    asked = _normal(word)
    if any(asked in (slug, slug.partition("/")[0]) for slug in _slugs(provider)):
        return True
    base, slash, part = asked.partition("/")
    return bool(slash) and base in _slugs(provider) and _is_part(part, provider.labels)


def _slugs(provider: CompiledProvider) -> tuple[str, ...]:
    labelled = provider.labels.get(SLUG_LABEL, "")
    own = (provider.name, _SLUGS.get(provider.type, provider.type))
    return tuple(_normal(slug) for slug in (*own, *labelled.split(",")) if slug.strip())


def _normal(word: str) -> str:
    """A name as slugs are written, for people who write it as names are."""
    return word.strip().lower().replace(" ", "-").replace("_", "-")


def _is_part(part: str, labels: Mapping[str, str]) -> bool:
    """Whether the second half of a slug is a provider's region (or a whole continent of it) or quantization."""
    region = labels.get("region", "").lower()
    return part in (region, labels.get("quantization", "").lower()) or region.startswith((f"{part}-", f"{part}_"))


def names_any(words: Iterable[str], provider: CompiledProvider) -> bool:
    """Whether any of `words` means `provider`."""
    return any(names_provider(word, provider) for word in words)


def ignored(target: Target, words: Iterable[str]) -> bool:
    """Whether any of `words` means the target or its provider."""
    return any(word == target.model or names_provider(word, target.provider) for word in words)


def unlabelled(provider: CompiledProvider, demands: Iterable[LabelDemand]) -> str:
    """Why the labels of `provider` do not meet `demands`; empty: they do."""
    for demand in demands:
        if provider.labels.get(demand.label, UNKNOWN).lower() not in demand.accepted:
            has = repr(provider.labels[demand.label]) if demand.label in provider.labels else "not set"
            return f"{demand.option}: the label {demand.label!r} of {provider.name} is {has}"
    return ""


def unwanted(target: Target, preferences: Preferences) -> str:
    """Why `preferences` leave `target` out; empty: they do not."""
    provider = target.provider
    if preferences.ignore and ignored(target, preferences.ignore):
        return "it is ignored"
    if preferences.only and not names_any(preferences.only, provider):
        return f"provider.only does not name {provider.name}"
    if preferences.labels:
        why = unlabelled(provider, preferences.labels)
        if why:
            return why
    if preferences.max_price is not None:
        return _too_dear(target, preferences.max_price)
    return ""


_PER_TOKEN = ("prompt", "completion")


def _bounded(limit: PriceLimit, prices: Prices) -> Iterator[tuple[str, float, float | None]]:
    """What `limit` bounds: its name, the bound, and the price."""
    for name, most, price in (
        ("prompt", limit.prompt, prices.input_per_million),
        ("completion", limit.completion, prices.output_per_million),
        # Most models have no price of these kinds; without one they cost nothing of the kind.
        ("request", limit.request, prices.per_request or 0.0),
        ("image", limit.image, prices.per_image or 0.0),
    ):
        if most is not None:
            yield name, most, price


def _too_dear(target: Target, limit: PriceLimit) -> str:
    for name, most, price in _bounded(limit, target.prices):
        if price is not None and price > most:
            unit = " per million tokens" if name in _PER_TOKEN else ""
            return f"max_price.{name} is {most:g}, it costs {price:g}{unit}"
    return ""


def unpriced(target: Target, limit: PriceLimit) -> bool:
    """Whether a price that `limit` bounds is not known of `target`, so that it could not be checked."""
    return any(price is None for _, _, price in _bounded(limit, target.prices))


def rank_of(provider: CompiledProvider, order: tuple[str, ...]) -> int:
    """Place of `provider` in `order`; one behind its end when it is not named."""
    return next((place for place, word in enumerate(order) if names_provider(word, provider)), len(order))
