"""Ramps move exactly what the weights say, only from arms that shrink to arms that grow, and bring users back."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from services.core.experiments.slots import PER_PERCENT, SlotTable, first_table, owners_of, ramped, shares
from services.core.routing.assign import SLOTS

ARMS = ("a", "b", "c", "d")


@st.composite
def weights(draw: st.DrawFn) -> list[tuple[str, int]]:
    arms = draw(st.permutations(ARMS).map(lambda order: order[: draw(st.integers(1, len(ARMS)))]))
    cuts = sorted(draw(st.lists(st.integers(0, 100), min_size=len(arms) - 1, max_size=len(arms) - 1)))
    return [(arm, end - begin) for arm, (begin, end) in zip(arms, pairwise([0, *cuts, 100]), strict=True)]


def counts(given_weights: list[tuple[str, int]]) -> dict[str, int]:
    return {arm: weight * PER_PERCENT for arm, weight in given_weights if weight}


@settings(max_examples=60, deadline=None)
@given(st.lists(weights(), min_size=2, max_size=5))
def test_exactly_the_changed_share_moves_and_only_from_shrinking_to_growing_arms(
    steps: list[list[tuple[str, int]]],
) -> None:
    table = first_table(steps[0])
    for before, after in pairwise(steps):
        moved_from, moved_to, old = set(), set(), owners_of(table)
        table = ramped(table, after)
        new = owners_of(table)
        moved = [(was, now) for was, now in zip(old, new, strict=True) if was != now]
        was, now = counts(before), counts(after)
        assert len(moved) == sum(max(0, n - was.get(arm, 0)) for arm, n in now.items())
        moved_from, moved_to = {m[0] for m in moved}, {m[1] for m in moved}
        assert all(now.get(arm, 0) < was.get(arm, 0) for arm in moved_from)
        assert all(now.get(arm, 0) > was.get(arm, 0) for arm in moved_to)
        assert shares(table) == now
        assert well_formed(table)


def well_formed(table: SlotTable) -> bool:
    whole = [s for run in table.runs for s in range(run.first, run.last + 1)] == list(range(SLOTS))
    apart = all(one.arm != other.arm for one, other in pairwise(table.runs))
    owners = owners_of(table)
    lost = all(owners[s] != run.arm for run in table.former for s in range(run.first, run.last + 1))
    return whole and apart and lost


@settings(max_examples=40, deadline=None)
@given(weights(), weights())
def test_going_back_brings_the_same_users_back(one: list[tuple[str, int]], other: list[tuple[str, int]]) -> None:
    table = first_table(one)
    there = ramped(table, other)
    assert owners_of(ramped(there, one)) == owners_of(table)


def test_equal_weights_move_nobody() -> None:
    table = first_table([("a", 60), ("b", 40)])
    assert ramped(table, [("b", 40), ("a", 60)]) is table


def test_a_ramp_in_steps_keeps_every_user_who_has_the_new_arm() -> None:
    table, had = first_table([("old", 100)]), set[int]()
    for percent in (1, 5, 20, 50, 100):
        table = ramped(table, [("old", 100 - percent), ("new", percent)])
        has = {slot for slot, arm in enumerate(owners_of(table)) if arm == "new"}
        assert had <= has
        assert len(has) == percent * PER_PERCENT
        assert len(table.runs) <= 2, "it stays small"
        had = has
