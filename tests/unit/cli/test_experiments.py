"""`turnout experiments` of one route: its variants, and below them, apart, its shadow."""

from __future__ import annotations

import pytest
from turnout.experiment.v1 import experiment_service_pb2 as pb

from services.cli.experiments import _show


def test_a_shadow_stands_below_the_variants_and_is_said_to_be_no_part_of_the_test(
    capsys: pytest.CaptureFixture[str],
) -> None:
    info = pb.ExperimentInfo(router_id="r", route_id="d", variants=["a"], weights=[100])
    report = pb.Report(experiment=info, control="a", split_p=1.0, verdict="Nothing is split.")
    report.arms.add(variant_id="a", units=3, requests=4, p95_ttft_ms=250.0)
    shadow = report.shadows.add(model="p/m", requests=1_200, units=400, error_rate=0.025, p95_ttft_ms=120.4)
    shadow.answered_p95_ttft_ms = 310.0
    shadow.metrics.add(
        metric="cost_per_request", pairs=1_170, answered=0.02, shadow=0.015, difference=-0.005, low=-0.006, high=-0.004,
        p=0.0012,
    )  # fmt: skip
    shadow.metrics.add(metric="ttft", pairs=7, answered=300.0, shadow=100.0, difference=-200.0, p=1.0)
    _show(report)
    told = capsys.readouterr().out
    lines = [" ".join(line.split()) for line in told.splitlines()]
    at = lines.index("shadow p/m, beside the answered requests; no part of the split test above")
    assert at > lines.index("Nothing is split.")
    assert "1,200 requests of 400 units, 2.50% failed" in " ".join(lines[at:])
    assert "cost_per_request 1,170 0.02 0.015 -0.005 -0.006 … -0.004 0.0012" in lines
    assert "ttft 7 300 100 -200 - 1" in lines


def test_a_route_without_a_shadow_says_nothing_of_any(capsys: pytest.CaptureFixture[str]) -> None:
    _show(pb.Report(control="a", verdict="Nothing."))
    assert "shadow" not in capsys.readouterr().out
