"""Assignment as arithmetic: fixed slots."""

from __future__ import annotations

import pytest

from services.core.routing.assign import SLOTS, drawn_slot, route_salt, slot_of


@pytest.mark.parametrize(
    ("router", "route", "unit", "slot"),
    [
        ("split", "main", "ada", 350),
        ("split", "main", "dennis", 5574),
        ("split", "other", "ada", 1465),
        ("r", "d", "", 342),
        ("r", "d", "Zoë", 1032),
    ],
)
def test_a_units_slot_is_the_same_in_every_process(router: str, route: str, unit: str, slot: int) -> None:
    assert slot_of(route_salt(router, route), unit) == slot


def test_slots_of_users_are_even() -> None:
    tenths = [0] * 10
    for number in range(10_000):
        tenths[slot_of("r/d", f"user-{number}") * 10 // SLOTS] += 1
    assert all(900 < count < 1_100 for count in tenths), tenths


@pytest.mark.parametrize(("seed", "slot"), [(1, 7988), (7, 9399), (2**64 - 1, 2114)])
def test_a_request_without_a_unit_draws_its_slot_from_its_seed(seed: int, slot: int) -> None:
    assert drawn_slot(seed) == slot
