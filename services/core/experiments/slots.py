"""Who is in which arm: the 10,000 slots of a route, shared out to its arms, and moved as little as a ramp needs.

A unit's slot never changes (`core/routing/assign.py`); a ramp changes the owners of slots. Rendezvous hashing and
cumulative ranges both move more users than weights changed, or move them between arms that keep their weight. A table
does neither: as many slots move as the weights say, and only from arms that shrink to arms that grow.

An arm that gets slots back gets its own: every arm remembers the slots that it has lost, so that switching an arm off and on
again brings the same users back to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from services.core.routing.assign import PER_PERCENT, SLOTS
from services.core.values import Value


class SlotRun(Value, frozen=True):
    """Slots `first` to `last`, both included, of one arm."""

    first: int
    last: int
    arm: str


class SlotTable(Value, frozen=True):
    """The slots of a route.

    Attributes:
        runs: Owners, in order, without gaps; neighbours differ.
        former: Slots that an arm has had and lost, in order, by arm; it is given them back first.
    """

    runs: tuple[SlotRun, ...]
    former: tuple[SlotRun, ...] = ()


def first_table(weights: Sequence[tuple[str, int]]) -> SlotTable:
    """The table of a route that has no history: arms by cumulative weight, in the order given.

    Args:
        weights: Arm and weight in percent; they sum to 100, and arms differ.
    """
    owners = [arm for arm, weight in weights for _ in range(weight * PER_PERCENT)]
    return SlotTable(_runs(owners))


def ramped(table: SlotTable, weights: Sequence[tuple[str, int]]) -> SlotTable:
    """`table` moved to other weights: exactly the changed share of slots moves, from arms that shrink to arms that grow.

    Args:
        weights: As for `first_table`; arms that are missing lose all their slots.
    """
    owners = owners_of(table)
    goal = {arm: weight * PER_PERCENT for arm, weight in weights}
    surplus = {arm: n - goal.get(arm, 0) for arm, n in _counts(owners).items() if n > goal.get(arm, 0)}
    if not surplus:
        return table
    former = _former(table)
    have = _counts(owners)
    for arm, wanted in goal.items():
        need = wanted - have.get(arm, 0)
        if need > 0:
            for slot in _taken(owners, former.get(arm, set()), surplus, need):
                former.setdefault(owners[slot], set()).add(slot)
                former.get(arm, set()).discard(slot)
                owners[slot] = arm
    return SlotTable(_runs(owners), _remembered(former))


def _taken(owners: Sequence[str], own: Iterable[int], surplus: dict[str, int], need: int) -> list[int]:
    """`need` slots of arms that have too many: first those that were the arm's own, then the last ones."""
    taken: list[int] = []
    before = sorted(own)
    known = set(before)
    for slot in (*before, *(s for s in range(SLOTS - 1, -1, -1) if s not in known)):
        if len(taken) == need:
            break
        if surplus.get(owners[slot], 0) > 0:
            surplus[owners[slot]] -= 1
            taken.append(slot)
    return taken


def owners_of(table: SlotTable) -> list[str]:
    """The arm of every slot."""
    return [run.arm for run in table.runs for _ in range(run.first, run.last + 1)]


def shares(table: SlotTable) -> Mapping[str, int]:
    """Number of slots by arm."""
    found: dict[str, int] = {}
    for run in table.runs:
        found[run.arm] = found.get(run.arm, 0) + run.last - run.first + 1
    return found


def _counts(owners: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for arm in owners:
        counts[arm] = counts.get(arm, 0) + 1
    return counts


def _former(table: SlotTable) -> dict[str, set[int]]:
    found: dict[str, set[int]] = {}
    for run in table.former:
        found.setdefault(run.arm, set()).update(range(run.first, run.last + 1))
    return found


def _remembered(former: Mapping[str, set[int]]) -> tuple[SlotRun, ...]:
    """What arms have lost, as runs by arm and slot."""
    runs: list[SlotRun] = []
    for arm in sorted(former):
        slots = sorted(former[arm])
        first = 0
        for place, slot in enumerate(slots):
            if place + 1 == len(slots) or slots[place + 1] != slot + 1:
                runs.append(SlotRun(slots[first], slot, arm))
                first = place + 1
    return tuple(runs)


def _runs(owners: Sequence[str]) -> tuple[SlotRun, ...]:
    runs: list[SlotRun] = []
    first = 0
    for slot in range(1, len(owners) + 1):
        if slot == len(owners) or owners[slot] != owners[first]:
            runs.append(SlotRun(first, slot - 1, owners[first]))
            first = slot
    return tuple(runs)
