"""Checks of what documents say about attempts: clocks, retries, breakers, hedges, recovery, faults."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from services.core.policy.documents import Breaker, Clocks, Fault, Hedge, Provider, Router, Settings, Variant
from services.core.policy.names import CREDENTIAL, CREDENTIAL_FORMS, ID, URL, split_model
from services.core.policy.rules import Recovery, read_after

Found = Iterator[tuple[str, str]]
"""(field path, message) pairs."""

MODES = ("least_bad", "reject", "queue")
FAULTS = ("status", "refuse", "hang", "slow", "cut", "stall")

_CLOCKS = ("connect", "headers", "first_event", "first_content", "idle", "total")
_DAY = 86_400
_TIME = (0.001, _DAY, "expected 1ms to 24h")


def _range(value: Any, path: str, bounds: tuple[float, float, str]) -> Found:
    """A problem when `value` is set and out of bounds."""
    low, high, told = bounds
    if value is not None and not low <= value <= high:
        yield path, told


def check_clocks(clocks: Clocks | None, path: str) -> Found:
    """Everything that is wrong with clocks."""
    if clocks is None:
        return
    for name in _CLOCKS:
        yield from _range(getattr(clocks, name), f"{path}.{name}", _TIME)
    yield from _range(clocks.min_tokens_per_second, f"{path}.min_tokens_per_second", (0, 10_000, "expected 0 to 10000"))
    ttft = clocks.ttft
    if ttft is None:
        return
    yield from _range(ttft.p, f"{path}.ttft.p", (0.01, 0.999, "expected 0.01 to 0.999"))
    yield from _range(ttft.factor, f"{path}.ttft.factor", (1, 100, "expected 1 to 100"))
    yield from _range(ttft.min, f"{path}.ttft.min", _TIME)
    yield from _range(ttft.max, f"{path}.ttft.max", _TIME)
    if ttft.min is not None and ttft.max is not None and ttft.min > ttft.max:
        yield f"{path}.ttft.min", "is larger than max"


def check_resilience(document: Settings | Router | Variant, prefix: str) -> Found:
    """Everything that is wrong with retries, hedging, hold-back, recovery and exhaustion."""
    retry = document.retry
    if retry is not None:
        yield from _range(retry.max_retries, f"{prefix}retry.max_retries", (0, 10, "expected 0 to 10"))
        yield from _range(retry.max_attempts, f"{prefix}retry.max_attempts", (1, 20, "expected 1 to 20"))
        yield from _range(retry.max_wait, f"{prefix}retry.max_wait", (0, 600, "expected 0s to 10m"))
        yield from _range(retry.deadline, f"{prefix}retry.deadline", _TIME)
        if retry.budget is not None:
            where = f"{prefix}retry.budget"
            yield from _range(retry.budget.ratio, f"{where}.ratio", (0, 1, "expected 0 to 1"))
            yield from _range(
                retry.budget.min_per_second, f"{where}.min_per_second", (0, 100_000, "expected 0 to 100000")
            )
    yield from _hedge(document.hedge, f"{prefix}hedge")
    commit = document.commit_after
    if commit is not None:
        yield from _range(commit.tokens, f"{prefix}commit_after.tokens", (0, 10_000, "expected 0 to 10000"))
        yield from _range(commit.ms, f"{prefix}commit_after.ms", (0, 60_000, "expected 0 to 60000"))
    if document.recovery and document.recovery not in set(Recovery):
        yield f"{prefix}recovery", f"expected one of {', '.join(Recovery)}, got {document.recovery!r}"
    exhausted = document.on_exhausted
    if exhausted is not None:
        where = f"{prefix}on_exhausted"
        if exhausted.mode and exhausted.mode not in MODES:
            yield f"{where}.mode", f"expected one of {', '.join(MODES)}, got {exhausted.mode!r}"
        yield from _range(exhausted.max_wait, f"{where}.max_wait", (0.001, 600, "expected 1ms to 10m"))
        yield from _range(exhausted.max_len, f"{where}.max_len", (1, 100_000, "expected 1 to 100000"))


def _hedge(hedge: Hedge | None, path: str) -> Found:
    if hedge is None:
        return
    if hedge.after and read_after(hedge.after) is None:
        yield f"{path}.after", f'expected a percentile such as "p95" or a duration such as "800ms", got {hedge.after!r}'
    yield from _range(hedge.budget, f"{path}.budget", (0, 1, "expected 0 to 1"))


def check_breaker(breaker: Breaker | None, path: str) -> Found:
    """Everything that is wrong with a breaker."""
    if breaker is None:
        return
    yield from _range(breaker.consecutive_failures, f"{path}.consecutive_failures", (1, 1_000, "expected 1 to 1000"))
    yield from _range(breaker.error_rate, f"{path}.error_rate", (0.01, 1, "expected 0.01 to 1"))
    yield from _range(breaker.min_requests, f"{path}.min_requests", (1, 100_000, "expected 1 to 100000"))
    for name in ("open_for", "max_open_for", "window", "ramp"):
        yield from _range(getattr(breaker, name), f"{path}.{name}", (0.01, 3_600, "expected 10ms to 1h"))


def check_endpoints(provider: Provider) -> Found:
    """Everything that is wrong with the addresses of a provider."""
    if provider.endpoints and provider.base_url:
        yield "base_url", "is given beside endpoints; give one of them"
    seen: set[str] = set()
    for index, endpoint in enumerate(provider.endpoints):
        path = f"endpoints[{index}]"
        if not ID.match(endpoint.name):
            yield f"{path}.name", "expected letters, digits, dots, dashes or underscores"
        if endpoint.name in seen:
            yield f"{path}.name", f"{endpoint.name!r} is already the name of another endpoint"
        seen.add(endpoint.name)
        if not URL.match(endpoint.base_url):
            yield f"{path}.base_url", "expected an address such as https://eu.api.example.com/v1"
        yield from check_credentials(endpoint.credentials, f"{path}.credentials")


def check_credentials(references: tuple[str, ...], path: str) -> Found:
    """Everything that is wrong with references to credentials."""
    for index, reference in enumerate(references):
        if not CREDENTIAL.match(reference):
            # The text may be a key that somebody pasted: it is not repeated.
            yield f"{path}[{index}]", f"expected a reference, {CREDENTIAL_FORMS}, never a key itself"


def check_fault(fault: Fault | None, provider: str) -> Found:
    """Everything that is wrong with a fault to rehearse."""
    if fault is None:
        return
    if fault.kind not in FAULTS:
        yield "fault.kind", f"expected one of {', '.join(FAULTS)}, got {fault.kind!r}"
    yield from _range(fault.status, "fault.status", (400, 599, "expected an error status, 400 to 599"))
    yield from _range(fault.delay, "fault.delay", _TIME)
    yield from _range(fault.after_bytes, "fault.after_bytes", (0, 100_000_000, "expected 0 to 100000000"))
    yield from _range(fault.percent, "fault.percent", (0, 100, "expected 0 to 100"))
    for index, model in enumerate(fault.models):
        if split_model(model)[0] != provider:
            yield f"fault.models[{index}]", f"expected a model of this provider, {provider}/…"
