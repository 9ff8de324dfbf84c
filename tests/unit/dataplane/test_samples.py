"""Samples of what targets do."""

from __future__ import annotations

from services.dataplane.samples import KEPT_SAMPLES, REFRESH_SAMPLES, Samples


def test_samples_are_sorted_and_the_oldest_go() -> None:
    samples = Samples(2)
    value = 2 * KEPT_SAMPLES
    for older in range(value):
        samples.note("a", float(older))
    while not samples.note("a", float(value)):
        value += 1
    kept = samples.sorted()["a"].samples
    assert kept == tuple(float(v) for v in range(value - KEPT_SAMPLES + 1, value + 1))


def test_the_name_that_was_known_longest_is_forgotten_first() -> None:
    samples = Samples(2)
    for name in ("a", "b", "a", "c"):
        samples.note(name, 1.0)
    assert set(samples.sorted()) == {"b", "c"}


def test_many_samples_are_sorted_anew_only_now_and_then() -> None:
    samples = Samples(1)
    changes = [samples.note("a", 1.0) for _ in range(8 * REFRESH_SAMPLES)]
    assert all(changes[: 4 * REFRESH_SAMPLES - 1])
    assert changes[4 * REFRESH_SAMPLES :].count(True) == 4
