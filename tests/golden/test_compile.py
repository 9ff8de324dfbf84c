"""Golden pairs of the compiler: policy as operators write it, and what becomes of it.

`NAME.in.yaml` compiles to `NAME.out.json`, the snapshot, or to `NAME.out.txt`, its problems. A snapshot is
shown without what has its built-in default, so that a new field changes only the cases that use it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.core.errors import Problem
from services.core.policy.compile import Problems
from services.core.policy.snapshot import CompiledProvider, Snapshot, Target
from services.core.values import Value
from services.runtime.conditions import CelCondition
from tests.support.golden import cases, check_json, check_text, rewriting
from tests.support.policies import compiled

FOLDER = Path(__file__).parent / "compile"
REVISION = 7
_EMPTY: tuple[Any, ...] = ("", None, (), {}, frozenset())


@pytest.mark.parametrize("name", cases(FOLDER, ".in.yaml"))
def test_a_policy_compiles_to_its_golden_snapshot_or_problems(name: str) -> None:
    found = compiled((FOLDER / f"{name}.in.yaml").read_text(encoding="utf-8"), REVISION)
    snapshot, problems = FOLDER / f"{name}.out.json", FOLDER / f"{name}.out.txt"
    if isinstance(found, Problems):
        check_text(problems, "\n".join(map(_problem_told, found.problems)))
        _check_absent(snapshot)
    else:
        check_json(snapshot, _snapshot_form(found))
        _check_absent(problems)


def test_every_expectation_has_its_input() -> None:
    names = {path.name.split(".")[0] for path in FOLDER.iterdir()}
    assert names == set(cases(FOLDER, ".in.yaml"))


def _check_absent(path: Path) -> None:
    if rewriting():
        path.unlink(missing_ok=True)
    assert not path.exists(), f"{path.name} is the expectation of another result"


def _problem_told(problem: Problem) -> str:
    return f"{'warning: ' if problem.warning else ''}{problem}"


def _snapshot_form(snapshot: Snapshot) -> dict[str, Any]:
    """A snapshot as plain values; providers and targets in full where they are listed, by name elsewhere."""
    form: dict[str, Any] = _fields_form(snapshot)
    form["providers"] = {name: _fields_form(snapshot.providers[name]) for name in sorted(snapshot.providers)}
    form["models"] = {name: _fields_form(snapshot.models[name]) for name in sorted(snapshot.models)}
    form["warnings"] = [str(problem) for problem in snapshot.warnings]
    form.pop("catalogue")
    return {name: value for name, value in form.items() if value not in ({}, [])}


def _fields_form(value: Any) -> dict[str, Any]:
    """The fields of a value that do not have their default, but for derived ones."""
    form = {}
    for field in dataclasses.fields(value):
        if not field.compare:
            continue  # it follows from the others
        found = getattr(value, field.name)
        if field.init and found != field.default and found not in _EMPTY:
            form[field.name] = _form(found)
    return form


def _form(value: Any) -> Any:
    if isinstance(value, CompiledProvider):
        return value.name
    if isinstance(value, Target):
        return value.model
    if isinstance(value, CelCondition):
        return {"source": value.source, "reads_messages": value.reads_messages}
    if isinstance(value, Value):
        names = (field.name for field in msgspec.structs.fields(value) if getattr(value, field.name) != field.default)
        return {name: _form(getattr(value, name)) for name in names}
    if dataclasses.is_dataclass(value):
        return _fields_form(value)
    if isinstance(value, Mapping):
        return {key: _form(value[key]) for key in sorted(value)}
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, tuple):
        return [_form(item) for item in value]
    return value
