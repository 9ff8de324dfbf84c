"""Clocks and retry rules: what a document sets, laid over what is below."""

from __future__ import annotations

from dataclasses import fields, replace

from services.core.policy.documents import Clocks, Retry
from services.core.policy.snapshot import RetryRule


def set_clocks(clocks: Clocks | None) -> dict[str, float]:
    """The clocks that are set, by name."""
    if clocks is None:
        return {}
    return {f.name: getattr(clocks, f.name) for f in fields(clocks) if getattr(clocks, f.name) is not None}


def retry_rule(base: RetryRule, retry: Retry | None) -> RetryRule:
    """`base` with what `retry` sets."""
    if retry is None:
        return base
    return replace(
        base, **{f.name: getattr(retry, f.name) for f in fields(retry) if getattr(retry, f.name) is not None}
    )
