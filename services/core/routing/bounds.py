"""Bounds on the time of a request and of its attempts, merged from all who may set them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from services.core.policy.rules import ClockRule, RetryRule
from services.core.policy.snapshot import Snapshot, Target
from services.core.routing.context import RequestContext


def clocks_of(
    snapshot: Snapshot, target: Target, upper: Mapping[str, Any], context: RequestContext
) -> tuple[ClockRule, frozenset[str]]:
    """The clocks of an attempt: built-in < the API's < settings < provider < router and variant < request."""
    provider, own, default = target.provider.clocks, context.clocks, context.default_clocks
    if not (provider or upper or own or default):
        return snapshot.clocks, snapshot.settings_clocks
    merged: dict[str, Any] = {**provider, **upper, **own}
    named = snapshot.settings_clocks | merged.keys()
    merged.update({name: seconds for name, seconds in default.items() if name not in named})
    if "first_content" in own:
        # An adaptive limit of the policy would be taken in place of the caller's.
        merged["ttft"] = None
    return replace(snapshot.clocks, **merged), named


def bounded(retry: RetryRule, context: RequestContext) -> RetryRule:
    """`retry` within the deadline of the request."""
    if context.deadline is None or context.deadline >= retry.deadline:
        return retry
    return replace(retry, deadline=context.deadline)
