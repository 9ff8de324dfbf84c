"""Makes the table of scores from published benchmark results: `turnout catalogue scores`.

Every model has other benchmarks, and some benchmarks are hard: a mean of what happens to be there would rank models by
which tests they were given. So the results are taken apart, on the logit scale, into how good the model is and how easy
the benchmark is (an additive model with a ridge, by alternating means), and the score is what the model would reach on
the average benchmark. The ridge holds models with few results near the mean.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from services.runtime.catalogue.scores import name_of

BENCHMARKS: Mapping[str, tuple[str, ...]] = {
    "intelligence": (
        "GPQA",
        "MMLU",
        "MMLU-Pro",
        "MMLU-Redux",
        "SimpleQA",
        "BIG-Bench Hard",
        "DROP",
        "Arena Hard",
        "LiveBench",
    ),
    "math": ("MATH", "MATH-500", "GSM8K", "MGSM", "AIME 2024", "AIME 2025", "HiddenMath"),
    "coding": ("HumanEval", "HumanEval+", "MBPP", "LiveCodeBench", "SWE-bench Verified", "MultiPL-E", "Aider-Polyglot"),
}
RIDGE = 0.5
"""In results: how many results at the mean every model is given beside its own."""
ROUNDS = 200
_EDGE = 0.005
"""Results are held this far from 0 and 1, where the logit has no end."""
_DECIMALS = 3

Results = Mapping[str, Mapping[str, float]]
"""Results from 0 to 1, by model and benchmark."""


def made(llm_stats: Sequence[Mapping[str, Any]], aider: Sequence[Mapping[str, Any]], sources: Mapping[str, str]) -> str:
    """The text of the table.

    Args:
        llm_stats: Models with `model` and `scores` by benchmark, 0 to 1.
        aider: Runs of Aider's polyglot benchmark with `model` and `pass_rate_2` in percent.
        sources: Said in the first line: where they come from and under which licence.
    """
    results = _gathered(llm_stats, aider)
    rows: dict[str, dict[str, Any]] = defaultdict(lambda: {"results": {}})
    for metric, names in BENCHMARKS.items():
        of_metric = {m: {b: v for b, v in found.items() if b in names} for m, found in results.items()}
        of_metric = {m: found for m, found in of_metric.items() if found}
        for model, score in fitted(of_metric).items():
            rows[model][metric] = round(score, _DECIMALS)
            rows[model]["results"][metric] = len(of_metric[model])
    lines = [json.dumps(dict(sources), separators=(",", ":"), ensure_ascii=False)]
    for model in sorted(rows):
        row = rows[model]
        ordered = {"id": model, **{m: row[m] for m in BENCHMARKS if m in row}, "results": row["results"]}
        lines.append(json.dumps(ordered, separators=(",", ":"), ensure_ascii=False))
    return "\n".join(lines) + "\n"


def _gathered(
    llm_stats: Iterable[Mapping[str, Any]], aider: Iterable[Mapping[str, Any]]
) -> dict[str, dict[str, float]]:
    """Results by family and benchmark; of several releases or settings, the best."""
    found: dict[str, dict[str, float]] = defaultdict(dict)
    for model in llm_stats:
        for benchmark, value in model["scores"].items():
            _keep(found[name_of(model["model"])], benchmark, float(value))
    for run in aider:
        label, _, told = str(run["model"]).partition(" (")
        if "+" in label or "," in label:
            continue  # two models together, or a note that is no name
        release = f"-{told[:4]}" if told[:4].isdigit() and not told.startswith("20") else ""
        _keep(found[name_of(label + release)], "Aider-Polyglot", float(run["pass_rate_2"]) / 100.0)
    return found


def _keep(held: dict[str, float], benchmark: str, value: float) -> None:
    if 0.0 <= value <= 1.0:
        held[benchmark] = max(value, held.get(benchmark, 0.0))


def fitted(results: Results) -> dict[str, float]:
    """The score of each model, 0 to 1: what it would reach on the average benchmark."""
    cells = [(m, b, _logit(v)) for m, found in sorted(results.items()) for b, v in sorted(found.items())]
    if not cells:
        return {}
    easy = dict.fromkeys(sorted({b for _, b, _ in cells}), 0.0)
    good = dict.fromkeys(sorted(results), 0.0)
    mean = sum(v for _, _, v in cells) / len(cells)
    for _ in range(ROUNDS):
        good = _means(((m, v - mean - easy[b]) for m, b, v in cells), RIDGE)
        easy = _means(((b, v - mean - good[m]) for m, b, v in cells), RIDGE)
    return {model: _sigmoid(mean + ability) for model, ability in good.items()}


def _means(pairs: Iterable[tuple[str, float]], ridge: float) -> dict[str, float]:
    sums: dict[str, list[float]] = defaultdict(lambda: [0.0, ridge])
    for key, value in pairs:
        sums[key][0] += value
        sums[key][1] += 1.0
    return {key: total / count for key, (total, count) in sums.items()}


def _logit(value: float) -> float:
    held = min(max(value, _EDGE), 1.0 - _EDGE)
    return math.log(held / (1.0 - held))


def _sigmoid(value: float) -> float:
    return 1.0 / (1.0 + math.exp(-value))
