"""`turnout learn`: whether a learned choice would pay, measured on one's own rows, and what a deployment has learned."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import msgspec
from cyclopts import App

from services.cli.learned import list_learned, show_learned
from services.cli.output import Fail, escape, out, show_table
from services.core.experiments.off_policy import Estimated, Logged
from services.core.experiments.off_policy import evaluated as off_policy
from services.core.routing.learned.choice import OBJECTIVES, REWARD_ALONE
from services.core.routing.learned.evaluate import CLUSTERS, Row, evaluated
from services.core.routing.learned.mixing import POINTS, Mixing

learn = App(
    name="learn", help="Whether a learned choice of models would pay, and what was learned of them. Nothing is changed."
)
learn.command(list_learned, name="list")
learn.command(show_learned, name="show")
_Read = TypeVar("_Read")


@learn.command
def evaluate(rows: Path, /, *, objective: str = REWARD_ALONE, clusters: int = CLUSTERS, splits: int = 3) -> None:
    """Train on a part of the rows, choose for the rest, and show reward and cost beside the best single model.

    Args:
        rows: JSON lines with `prompt`, `rewards` by model (0 to 1) and, if known, `costs` by model (US dollars).
        objective: quality, balanced, cost or latency.
        clusters: Kinds of requests to tell apart.
        splits: Random splits, 70 to 30; a line is shown for each.
    """
    if objective not in OBJECTIVES:
        raise Fail(f"{objective!r}: expected one of {', '.join(OBJECTIVES)}", code=2)
    found = _rows(rows, Row)
    shown, mixings = [], []
    try:
        for seed in range(1, splits + 1):
            one = evaluated(found, objective=objective, clusters=clusters, seed=seed)
            shown += [(str(seed), line.name, f"{line.reward:.4f}", f"{line.cost:.6f}") for line in one.lines]
            mixings += [(seed, one.mixing)] if one.mixing is not None else []
    except ValueError as error:
        raise Fail(f"{rows}: {error}", code=2) from error
    show_table(("SPLIT", "CHOICE", "REWARD", "USD PER REQUEST"), shown, empty="no splits")
    if mixings:
        _show_mixings(mixings)


@learn.command
def report(log: Path, /, *, alpha: float = 0.05) -> None:
    """Say what a candidate policy would have brought, from decisions that were logged with their probabilities.

    Args:
        log: JSON lines with `chosen`, `propensity`, `reward`, `candidate` (probability by model) and, for the doubly
            robust estimate, `expected` (reward by model); requests of the same `cluster` are not independent.
        alpha: Chance that an interval misses the truth.
    """
    try:
        found = off_policy(_rows(log, Logged), alpha=alpha)
    except ValueError as error:
        raise Fail(f"{log}: {error}", code=2) from error
    shown = [_told("logged", found.logged)]
    if not found.refusal:
        shown += [_told("IPS", found.ips), _told("SNIPS", found.snips), _told("doubly robust", found.dr)]
    show_table(("ESTIMATE", "REWARD", "INTERVAL"), shown, empty="nothing")
    out.print(f"[dim]{found.n:,} requests count as {found.ess:,.0f}; {found.clipped:,} weights were cut[/]")
    out.print(escape(found.verdict))


def _show_mixings(found: list[tuple[int, Mixing]]) -> None:
    columns = [f"NEEDED FOR -{100 * points:g}" for points in POINTS]
    show_table(("SPLIT", "STRONG", "APGR", *columns), [_mixed(*each) for each in found], empty="")
    out.print("[dim]APGR: 0.5 is chance. Needed: share of requests to the strong model, by points below its reward[/]")
    rows = [
        (str(seed), f"{spent.share:.1%}", f"{spent.reward:.4f}", f"{spent.chance:.4f}", f"{one.alone:.4f}")
        for seed, one in found
        for spent in one.spent
    ]
    show_table(("SPLIT", "TO THE STRONG", "LEARNED", "BY CHANCE", "WEAK ALONE"), rows, empty="")
    out.print(
        "[dim]Rewards where the strong model is too dear for all: one model alone that costs less is the weak one[/]"
    )


def _mixed(seed: int, found: Mixing) -> tuple[str, ...]:
    return str(seed), found.strong, f"{found.apgr:.3f}", *(f"{share:.0%}" for share in found.needed)


def _told(name: str, value: Estimated) -> tuple[str, str, str]:
    return name, f"{value.value:.4f}", f"{value.low:.4f} to {value.high:.4f}"


def _rows(path: Path, kind: type[_Read]) -> list[_Read]:
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise Fail(f"{path}: {error.strerror or error}") from error
    found = []
    for number, line in enumerate(lines, 1):
        try:
            found.append(msgspec.json.decode(line, type=kind))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Fail(f"{path}, line {number}: {error}", code=2) from error
    return found
