"""The view of health that a decision takes."""

from __future__ import annotations

from services.core.routing.health import HEALTHY, HealthView


def test_a_bench_ends_at_its_instant() -> None:
    view = HealthView({"p/m": 10.0})
    assert view.benched("p/m", 9.999)
    assert not view.benched("p/m", 10.0)


def test_what_nobody_has_seen_is_healthy() -> None:
    assert not HEALTHY.benched("p/m", 0.0)
    assert not HealthView({"p/m": 10.0}).benched("p/other", 0.0)
