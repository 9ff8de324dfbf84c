"""`turnout learn`: files in, a table and a sentence out; bad files are told by their line."""

from __future__ import annotations

import json
from pathlib import Path

from tests.unit.cli.conftest import Turnout


def test_rows_are_evaluated_beside_the_best_single_model(turnout: Turnout, tmp_path: Path) -> None:
    rows = [
        {
            "prompt": f"Solve {i} x = 3" if i % 2 else f"Write a poem about sea {i}",
            "rewards": {"a": i % 2, "b": 1 - i % 2},
        }
        for i in range(60)
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    told = turnout("learn", "evaluate", "rows.jsonl", "--splits", "1", "--clusters", "2")
    assert told.code == 0
    assert all(name in told.out for name in ("learned", "best single", "random", "oracle"))
    learned = next(line for line in told.out.splitlines() if " learned " in line)
    assert "1.0000" in learned
    assert turnout("learn", "evaluate", "rows.jsonl", "--objective", "luck").code == 2


def test_a_log_is_reported_or_refused(turnout: Turnout, tmp_path: Path) -> None:
    row = {"chosen": "a", "propensity": 0.5, "reward": 1.0, "candidate": {"a": 0.5, "b": 0.5}}
    (tmp_path / "log.jsonl").write_text("\n".join([json.dumps(row)] * 40))
    refused = turnout("learn", "report", "log.jsonl")
    assert (refused.code, "No verdict" in refused.out, "IPS" in refused.out) == (0, True, False)
    (tmp_path / "log.jsonl").write_text("\n".join([json.dumps(row)] * 800))
    assert "No difference can be told" in turnout("learn", "report", "log.jsonl").out


def test_bad_files_are_told_by_their_line(turnout: Turnout, tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text('{"prompt": "x", "rewards": {"a": 1}}\nnonsense')
    told = turnout("learn", "evaluate", "bad.jsonl")
    assert (told.code, "line 2" in told.err) == (2, True)
    (tmp_path / "few.jsonl").write_text('{"prompt": "x", "rewards": {"a": 1}}')
    assert turnout("learn", "evaluate", "few.jsonl").code == 2
    (tmp_path / "log.jsonl").write_text('{"chosen": "a", "propensity": 0, "reward": 1.0, "candidate": {}}')
    assert turnout("learn", "report", "log.jsonl").code == 2
    assert turnout("learn", "report", "missing.jsonl").code == 1
