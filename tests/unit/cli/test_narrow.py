"""Reports in a terminal of 80 columns."""

from __future__ import annotations

import pytest
from turnout.experiment.v1 import experiment_service_pb2 as experiment
from turnout.learning.v1 import learning_service_pb2 as learning

from services.cli import experiments, learned
from services.cli.output import out

WIDTH = 80


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal without colours."""
    monkeypatch.setattr(out, "_width", WIDTH)
    monkeypatch.setattr(out, "_force_terminal", True)
    monkeypatch.setattr(out, "_color_system", None)
    monkeypatch.setattr(out, "no_color", True)


def compared(variant: str, metric: str, role: str) -> experiment.Comparison:
    """A comparison whose numbers are as long as they get."""
    return experiment.Comparison(
        variant_id=variant,
        metric=metric,
        role=role,
        difference=-0.0000123456,
        relative=-0.1234,
        low=-0.0000345678,
        high=-0.0000012345,
        p=0.000012345,
        verdict="no difference",
    )


def test_an_experiment_has_each_comparison_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    metrics = (
        ("cost", "primary"),
        ("error_rate", "guardrail"),
        ("latency_ms", "guardrail"),
        ("user_rating", "secondary"),
    )
    report = experiment.Report(
        control="stable",
        experiment=experiment.ExperimentInfo(router_id="support", route_id="main"),
        comparisons=[compared(v, m, r) for v in ("candidate", "a-variant-with-a-long-name") for m, r in metrics],
        verdict="Nothing can be told yet.",
        split_p=0.5,
    )
    experiments._show(report)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= WIDTH
    rows = [line.split() for line in lines if "no difference" in line]
    numbers = ["-1.23e-05", "-12.3%", "-3.46e-05", "…", "-1.23e-06", "1.2e-05", "no", "difference"]
    assert rows == 2 * [[metric, *numbers] for metric, _ in metrics]
    headings = [line for line in lines if "against" in line]
    roles = ("primary", "guardrail", "secondary")
    assert headings == [
        f"{variant} against stable, {role}" for variant in ("candidate", "a-variant-with-a-long-name") for role in roles
    ]


def test_an_experiment_without_comparisons_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    experiments._show(experiment.Report(control="stable"))
    assert "nothing to compare yet" in capsys.readouterr().out


def test_what_was_learned_keeps_its_numbers_whole(capsys: pytest.CaptureFixture[str]) -> None:
    name = "openrouter/anthropic/claude-haiku-4-5-20251001-thinking-with-a-suffix"
    model = learning.LearnedModel(model=name, chosen=1_234_567, share=0.5, reward=0.25, cost_usd=0.0123, seconds=12.5)
    way = learning.OffPolicy(
        candidate=name, requests=1_234_567, effective=123_456, reward=0.35, low=0.3, high=0.4, cost_usd=0.01, seconds=1.5,
        utility=0.25, utility_low=0.2, utility_high=0.3,
    )  # fmt: skip
    table = learning.LearnedTable(router_id="r", route_id="t", variant_id="v", rewarded=1_234_567)
    learned._show(learning.Learned(table=table, models=[model], logged_reward=0.25, greedy=way, singles=[way]))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= WIDTH
    assert [line.split()[1:] for line in lines if "12.50" in line] == [
        ["1,234,567", "50.0%", "0.250", "0.012300", "12.50"],
    ]
    numbers = ["0.250", "0.200", "…", "0.300", "1,234,567", "123,456"]
    assert [line.split()[-6:] for line in lines if "123,456" in line] == [numbers, numbers]
    assert [line.split()[-3:] for line in lines if "0.010000" in line] == [["0.350", "0.010000", "1.50"]] * 2
