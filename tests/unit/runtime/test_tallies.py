"""Tallies: whatever they are told, Prometheus reads of them what it reads of prometheus_client's own metrics."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics
from prometheus_client.registry import DuplicateTimeseries  # type: ignore[attr-defined]

from services.runtime.tallies import CounterTally, HistogramTally

BOUNDS = (0.01, 0.5, 1.0, 20.0)
LABELS = ("api", "class")
AMOUNTS = st.lists(
    st.tuples(st.sampled_from("ab"), st.sampled_from(('"', "é\n")), st.floats(0, 40) | st.sampled_from(BOUNDS)),
    max_size=20,
)


def shown(registry: CollectorRegistry, *, openly: bool) -> list[str]:
    """The lines of a scrape; when a series began differs, and is left as a word."""
    text = (openmetrics if openly else generate_latest)(registry).decode()
    return [line.rpartition(" ")[0] if "_created{" in line else line for line in text.split("\n")]


@given(AMOUNTS, st.booleans())
def test_scrapes_are_those_of_the_library(amounts: list[tuple[str, str, float]], openly: bool) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    counter, histogram = CounterTally("n_total", "N.", LABELS, ours), HistogramTally("s", "S.", LABELS, BOUNDS, ours)
    count, times = (
        Counter("n_total", "N.", LABELS, registry=theirs),
        Histogram("s", "S.", LABELS, registry=theirs, buckets=BOUNDS),
    )
    for first, second, amount in amounts:
        counter.of(first, second)(amount)
        histogram.of(first, second)(amount)
        count.labels(first, second).inc(amount)
        times.labels(first, second).observe(amount)
    assert shown(ours, openly=openly) == shown(theirs, openly=openly)


def test_a_scrape_in_another_thread_meets_series_that_come() -> None:
    registry = CollectorRegistry()
    counter = CounterTally("n_total", "N.", ("number",), registry)
    seen: list[bytes] = []
    reader = threading.Thread(target=lambda: seen.extend(generate_latest(registry) for _ in range(50)))
    reader.start()
    for number in range(5_000):
        counter.of(str(number))(1)
    reader.join()
    assert len(seen) == 50, "no scrape failed"
    assert registry.get_sample_value("n_total", {"number": "4999"}) == 1


def test_names_are_taken_once_and_can_be_asked_for_alone() -> None:
    registry = CollectorRegistry()
    CounterTally("n_total", "N.", (), registry).of()(2)
    HistogramTally("s", "S.", (), BOUNDS, registry).of()(2)
    with pytest.raises(DuplicateTimeseries):
        CounterTally("n_total", "N.", (), registry)
    alone = generate_latest(registry.restricted_registry(["n_total"])).decode()
    assert "n_total 2.0" in alone
    assert "s_bucket" not in alone
