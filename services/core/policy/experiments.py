"""The experiment of a route: its checks, and its compiled form. And the slots of a route, as policy writes them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from services.core.experiments.metrics import DECREASE, GUARDRAIL, INCREASE, MEAN, PER_UNIT, PRIMARY, SECONDARY
from services.core.experiments.slots import SlotRun, SlotTable, first_table, shares
from services.core.policy.documents import Experiment, Metric, Route
from services.core.routing.assign import PER_PERCENT, SESSION, SLOTS, USER

_RUN = re.compile(r"\A(\d{1,5})-(\d{1,5})=(\S+)\Z")
_NAME = re.compile(r"\A[A-Za-z0-9_.-]{1,64}\Z")
GOALS, METRIC_ROLES, METRIC_FORMS = (INCREASE, DECREASE), (PRIMARY, GUARDRAIL, SECONDARY), (MEAN, PER_UNIT)
MAX_HOLD = 90 * 86_400.0
_KEY = re.compile(r"\Ametadata\.[A-Za-z_][A-Za-z0-9_.-]*\Z")


@dataclass(frozen=True, slots=True)
class ExperimentRule:
    """How units are assigned, with defaults filled in.

    Attributes:
        salt: Text that slots are derived from, besides the unit.
        layer: Salt of the layer; empty: there is none.
        first: First slot of the layer that is taken, and `last`.
        holdout: Slots of all that are held out.
        control: Index of the variant of those who are not in the experiment.
    """

    unit: str = USER
    salt: str = ""
    layer: str = ""
    first: int = 0
    last: int = SLOTS - 1
    holdout: int = 0
    control: int = 0


def check_experiment(route: Route, path: str) -> Iterator[tuple[str, str]]:
    """What is wrong with a route's experiment and slots, as (field path, message)."""
    experiment = route.experiment
    if experiment is not None:
        yield from _check_rule(experiment, route, f"{path}.experiment")
    if not route.slots and not route.former_slots:
        return
    table = table_of(route)
    if table is None:
        told = 'are kept by the control plane as "first-last=variant"; leave them out'
        yield f"{path}.slots", told
    elif dict(shares(table)) != _goal(route):
        yield f"{path}.slots", "do not have the variants' weights; leave them out, and they are worked out"


def _check_rule(experiment: Experiment, route: Route, path: str) -> Iterator[tuple[str, str]]:
    unit = experiment.unit
    if unit not in {"", USER, SESSION} and not _KEY.match(unit):
        yield f"{path}.unit", f"expected {USER}, {SESSION} or metadata.KEY, got {unit!r}"
    first, last = experiment.first_slot, experiment.last_slot
    bounds = [slot for slot in (first, last) if slot is not None]
    if any(not 0 <= slot < SLOTS for slot in bounds):
        yield f"{path}.first_slot", f"expected 0 to {SLOTS - 1}"
    elif (first or 0) > (last if last is not None else SLOTS - 1):
        yield f"{path}.last_slot", "comes before the first one"
    if bounds and not experiment.layer:
        yield f"{path}.layer", "is missing; slots are those of a layer"
    if experiment.holdout is not None and not 0.0 <= experiment.holdout <= 100.0:
        yield f"{path}.holdout", "expected 0 to 100"
    names = {w.variant.variant_id for w in route.variants if w.variant is not None}
    yield from _check_metrics(experiment.metrics, f"{path}.metrics")
    if experiment.ramp is not None:
        yield from _check_ramp(experiment, names, f"{path}.ramp")
    if experiment.control and experiment.control not in names:
        yield f"{path}.control", f"there is no variant {experiment.control!r} in this route"


def _check_metrics(metrics: Sequence[Metric], path: str) -> Iterator[tuple[str, str]]:
    seen: set[str] = set()
    for index, metric in enumerate(metrics):
        where = f"{path}[{index}]"
        if not _NAME.match(metric.name):
            yield f"{where}.name", "expected letters, digits, dots, dashes or underscores"
        if metric.name in seen:
            yield f"{where}.name", f"{metric.name!r} is declared already"
        seen.add(metric.name)
        for field, value, words in (
            ("goal", metric.goal, GOALS),
            ("role", metric.role, METRIC_ROLES),
            ("of", metric.of, METRIC_FORMS),
        ):
            if value and value not in words:
                yield f"{where}.{field}", f"expected one of {', '.join(words)}, got {value!r}"
        if metric.margin is not None and not 0.0 <= metric.margin <= 10.0:
            yield f"{where}.margin", "expected 0 to 10"
    if sum(metric.role == PRIMARY for metric in metrics) > 1:
        yield path, "has several primary metrics; an experiment has one"


def _check_ramp(experiment: Experiment, names: set[str], path: str) -> Iterator[tuple[str, str]]:
    ramp = experiment.ramp
    assert ramp is not None, "only an experiment with a ramp is asked"
    if ramp.variant not in names or ramp.variant == experiment.control:
        yield f"{path}.variant", f"expected a variant of this route that is not the control, got {ramp.variant!r}"
    if (
        not ramp.steps
        or any(not 1 <= step <= 100 for step in ramp.steps)
        or list(ramp.steps) != sorted(set(ramp.steps))
    ):
        yield f"{path}.steps", "expected weights from 1 to 100, rising"
    if ramp.hold is not None and not 0.0 <= ramp.hold <= MAX_HOLD:
        yield f"{path}.hold", "expected 0 to 90 days"
    if ramp.min_units is not None and ramp.min_units < 0:
        yield f"{path}.min_units", "must not be negative"


def rule_of(route: Route, salt: str, variants: Sequence[str]) -> ExperimentRule:
    """The compiled form.

    Args:
        salt: That of the route.
        variants: Ids of its variants, in order.
    """
    experiment = route.experiment
    if experiment is None:
        return ExperimentRule(salt=salt)
    return ExperimentRule(
        unit=experiment.unit or USER,
        salt=experiment.salt or salt,
        layer=experiment.layer,
        first=experiment.first_slot or 0,
        last=experiment.last_slot if experiment.last_slot is not None else SLOTS - 1,
        holdout=round((experiment.holdout or 0.0) * PER_PERCENT),
        control=variants.index(experiment.control) if experiment.control in variants else 0,
    )


def weights_of(route: Route, ids: Sequence[str] = ()) -> list[tuple[str, int]]:
    """The variants' ids and weights, in order.

    Args:
        ids: Their ids where some are derived from their places.
    """
    pairs = [(w.variant.variant_id, w.weight) for w in route.variants if w.variant is not None]
    return [(ids[place] if ids else name, weight) for place, (name, weight) in enumerate(pairs)]


def table_of(route: Route, ids: Sequence[str] = ()) -> SlotTable | None:
    """The route's slots as they are written, or by cumulative weight; None: they are not well formed."""
    if not route.slots:
        return first_table(weights_of(route, ids)) if not route.former_slots else None
    runs, former = _read(route.slots), _read(route.former_slots)
    if runs is None or former is None:
        return None
    edge = 0
    for run in runs:
        if run.first != edge or run.last < run.first:
            return None
        edge = run.last + 1
    return SlotTable(runs, former) if edge == SLOTS else None


def _goal(route: Route) -> dict[str, int]:
    return {name: weight * PER_PERCENT for name, weight in weights_of(route) if weight}


def _read(texts: Iterable[str]) -> tuple[SlotRun, ...] | None:
    found = []
    for text in texts:
        match = _RUN.match(text)
        if match is None or not int(match[1]) <= int(match[2]) < SLOTS:
            return None
        found.append(SlotRun(int(match[1]), int(match[2]), match[3]))
    return tuple(found)


def written(runs: Iterable[SlotRun]) -> tuple[str, ...]:
    """Runs as policy writes them."""
    return tuple(f"{run.first}-{run.last}={run.arm}" for run in runs)
