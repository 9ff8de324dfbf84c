"""Assignment: fixed slots, and whose slot belongs to which variant."""

from __future__ import annotations

import pytest

from services.core.policy.snapshot import CompiledVariant
from services.core.routing.assign import SLOTS, drawn_slot, slot_of, variant_at


def variants(*weights: int) -> tuple[CompiledVariant, ...]:
    return tuple(CompiledVariant(str(number), weight, ()) for number, weight in enumerate(weights))


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
    assert slot_of(router, route, unit) == slot


def test_slots_of_users_are_even() -> None:
    tenths = [0] * 10
    for number in range(10_000):
        tenths[slot_of("r", "d", f"user-{number}") * 10 // SLOTS] += 1
    assert all(900 < count < 1_100 for count in tenths), tenths


@pytest.mark.parametrize(("seed", "slot"), [(1, 7988), (7, 9399), (2**64 - 1, 2114)])
def test_a_request_without_a_unit_draws_its_slot_from_its_seed(seed: int, slot: int) -> None:
    assert drawn_slot(seed) == slot


@pytest.mark.parametrize(
    ("slot", "variant"), [(0, "1"), (899, "1"), (900, "3"), (999, "3"), (1_000, "4"), (SLOTS - 1, "4")]
)
def test_slots_are_shared_out_by_weight_in_written_order(slot: int, variant: str) -> None:
    assert variant_at(variants(0, 9, 0, 1, 90), slot).variant_id == variant


def test_a_slot_beyond_all_weights_belongs_to_the_last_variant() -> None:
    # The compiler refuses such weights; a worker must serve all the same.
    assert variant_at(variants(10, 20), SLOTS - 1).variant_id == "1"


def test_moving_weight_between_two_variants_moves_only_units_between_those_two() -> None:
    before, after = variants(40, 40, 20), variants(50, 30, 20)
    moved = {
        (variant_at(before, slot).variant_id, variant_at(after, slot).variant_id)
        for slot in range(SLOTS)
        if variant_at(before, slot).variant_id != variant_at(after, slot).variant_id
    }
    assert moved == {("1", "0")}
