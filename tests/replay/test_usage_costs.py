"""Usage of real answers, read by the codecs and priced by the catalogue, costs what others say that it costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

from services.core.pricing import cost, prices_at
from services.core.values import changed
from services.runtime.catalogue.shipped import ShippedCatalogue
from tests.replay.usage_cases import OWN, PRICED_AT, Case, cases, path, reader_of

CATALOGUE = ShippedCatalogue()
ALL = path()

OTHER_PRICES = {
    ("usage-1f02a6e316a4", "mistral"): "the price rose on 2025-12-02",
    ("usage-30cdf1fea307", "google"): "the tier above 200,000 tokens came later",
    ("usage-3a6a06c1baf2", "google"): "the tier above 200,000 tokens came later",
    ("usage-93a62ffaf40b", "aws"): "priced after it fell on 2026-07-30",
    ("usage-e033932e643e", "aws"): "priced after it fell on 2026-07-30",
    ("usage-52094b7b9400", "cerebras"): "no price is known, which is not nothing",
    ("usage-f5c444152e03", "google"): "an experimental model that is gone",
    ("usage-9e22ede51ccd", "azure"): "priced without a price for writing the cache",
    ("usage-eac448ab2cc7", "azure"): "priced without a price for writing the cache",
}
"""Cases whose prices are of another day, or another state of the list, by id and provider, and why."""


class At:
    """A provider as the catalogue looks at it."""

    def __init__(self, case: Case) -> None:
        vertex = case.provider == "google" and case.flavour != "default"
        self.name = self.type = "vertex" if vertex else case.provider
        self.base_url = ""


def wrong_in(found: Iterable[Case]) -> tuple[list[str], Counter[str], Counter[str]]:
    """What differs, how many agree by provider, and how many no codec reads by flavour."""
    wrong: list[str] = []
    right: Counter[str] = Counter()
    unread: Counter[str] = Counter()
    for case in found:
        read = reader_of(case)
        if read is None or case.provider.startswith("huggingface_"):
            unread[f"{case.provider} {case.flavour}"] += 1
            continue
        if (case.id, case.provider) in OTHER_PRICES:
            continue
        usage = changed(read(case.usage), searches=0)
        entry = CATALOGUE.look_up(At(case), case.model)
        dollars = cost(prices_at(entry.prices, entry.spans, PRICED_AT), usage) if entry is not None else None
        if dollars is None or abs(dollars - case.dollars) > 1e-9:
            wrong.append(f"{case.id} {case.provider} {case.flavour} {case.model}: {dollars} is not {case.dollars}")
        else:
            right[case.provider] += 1
    return wrong, right, unread


def test_a_few_cases_of_every_shape_cost_what_they_cost() -> None:
    wrong, right, unread = wrong_in(cases(OWN))
    assert not wrong, "\n".join(wrong)
    assert not unread
    assert set(right) >= {"openai", "anthropic", "google", "mistral", "groq", "openrouter", "azure", "aws"}


@pytest.mark.skipif(ALL is None, reason="the recorded usage blocks are not on this machine")
def test_every_case_that_a_codec_reads_costs_what_it_costs() -> None:
    assert isinstance(ALL, Path)
    wrong, right, unread = wrong_in(cases(ALL))
    assert not wrong, "\n".join(wrong)
    assert sum(right.values()) > 700
    print(f"{sum(right.values())} agree; without a reader: {dict(unread)}")


@pytest.mark.skipif(ALL is None, reason="the recorded usage blocks are not on this machine")
def test_every_token_is_counted_once() -> None:
    assert isinstance(ALL, Path)
    for case in cases(ALL):
        read = reader_of(case)
        if read is None:
            continue
        usage = read(case.usage)
        told = (case.tokens.get("input_tokens", 0), case.tokens.get("cache_read_tokens", 0))
        assert (usage.input_tokens, usage.cache_read_tokens) == told, case
        assert usage.output_tokens == case.tokens.get("output_tokens", 0), case
