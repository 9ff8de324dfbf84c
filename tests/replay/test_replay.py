"""Recorded answers read the same through the router, but for a table of exceptions, which is exact."""

from __future__ import annotations

from collections.abc import Mapping

import anthropic
import openai
import pytest

from tests.replay.corpus import OWN
from tests.replay.errors import raised_inside
from tests.replay.exceptions import UNEQUAL
from tests.replay.measure import Difference, measure
from tests.replay.report import PAGE, measured, render
from tests.replay.traffic import PROVIDERS, Exchange, exchanges, folder

recordings = pytest.mark.skipif(folder() is None, reason="no recordings: set TURNOUT_TRAFFIC")

REFUSED = sorted(name for name, entry in UNEQUAL.items() if entry.kind is not None and not entry.crossing_only)


def test_our_own_corpus_reads_the_same_in_both_dialects() -> None:
    found = measure(OWN)
    assert found.total == len({exchange.id for exchange in OWN})
    assert found.same == {}
    assert found.crossing == {}


@recordings
@pytest.mark.parametrize("provider", PROVIDERS)
def test_recorded_answers_read_the_same_but_for_the_listed_ones(provider: str) -> None:
    found = measured(provider)
    assert found.total
    listed = {name: entry for name, entry in UNEQUAL.items() if name.startswith(f"{provider}-")}
    both = {name for name, entry in listed.items() if not entry.crossing_only}
    assert found.same.keys() == both, _told(found.same, both)
    assert found.crossing.keys() == listed.keys(), _told(found.crossing, set(listed))
    for name, difference in found.crossing.items():
        assert difference.kind == listed[name].kind, difference


def _told(found: Mapping[str, Difference], listed: set[str]) -> str:
    fresh = {name: difference for name, difference in found.items() if name not in listed}
    return f"not listed: {fresh}; listed but equal now: {listed - found.keys()}"


@recordings
def test_every_listed_exchange_is_among_the_recordings() -> None:
    names = {exchange.id for provider in PROVIDERS for exchange in exchanges(provider)}
    assert UNEQUAL.keys() <= names


@recordings
@pytest.mark.parametrize("name", REFUSED)
def test_a_failure_inside_a_success_is_an_error_in_the_callers_sdk(name: str) -> None:
    recorded, ours = raised_inside(_exchange(name))
    assert ours is not None
    assert issubclass(ours, (openai.APIError, anthropic.APIError))
    if recorded is not None:
        assert ours is recorded


def _exchange(name: str) -> Exchange:
    provider = next(p for p in sorted(PROVIDERS, key=len, reverse=True) if name.startswith(f"{p}-"))
    return next(exchange for exchange in exchanges(provider) if exchange.id == name)


@recordings
def test_the_page_says_what_is_reached() -> None:
    assert PAGE.read_text(encoding="utf-8") == render(), "run `python -m tests.replay.report`"
