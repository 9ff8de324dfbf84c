"""Faults of a simulated provider."""

from __future__ import annotations

from typing import Any

import pytest

from services.cli.simulated.faults import Fault, FaultSwitch


def test_a_fault_stays_until_it_is_switched_off() -> None:
    switch = FaultSwitch(Fault("status", status=500))
    assert [switch.take().kind for _ in range(3)] == ["status"] * 3
    assert switch.set({"kind": "none"})["kind"] == "none"
    assert switch.take().kind == "none"


def test_a_fault_with_a_number_happens_that_often() -> None:
    switch = FaultSwitch(Fault())
    assert switch.set({"kind": "cut", "times": 2, "after": 1})["times"] == 2
    assert [switch.take().kind for _ in range(4)] == ["cut", "cut", "none", "none"]
    assert switch.state()["times"] == 0


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ({"kinds": "none"}, "unknown field 'kinds'; known are kind, status"),
        ({"kind": "explode"}, "unknown kind 'explode'; known are none, status"),
        ({"kind": "status", "status": 200}, "400 to 599"),
        ({"kind": "status", "status": "503"}, "status must be an integer"),
        ({"kind": "cut", "after": 1.5}, "after must be an integer"),
        ({"kind": "cut", "times": None}, "times must be an integer"),
        ({"kind": "slow", "seconds": "soon"}, "seconds must be a number of seconds"),
        ({"kind": "slow", "seconds": -1}, "seconds must be a number of seconds"),
        ({"kind": "status", "retry_after": "later"}, "retry_after must be a number of seconds"),
        ({"kind": "status", "retry_after": float("nan")}, "retry_after must be a number of seconds"),
    ],
)
def test_a_fault_that_makes_no_sense_changes_nothing(wanted: dict[str, Any], told: str) -> None:
    switch = FaultSwitch(Fault("hang"))
    with pytest.raises(ValueError, match=told):
        switch.set(wanted)
    assert switch.take().kind == "hang"
