"""What is measured of an experiment: every metric is a sum over a unit's requests, divided by another one.

Built-in metrics come from the outcomes that workers report, others from feedback. Ratios are taken over units
(`estimates.py`), so that one busy user is one user.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from services.core.policy.documents import Metric
from services.core.values import Value

INCREASE, DECREASE = "increase", "decrease"
PRIMARY, GUARDRAIL, SECONDARY = "primary", "guardrail", "secondary"
MEAN, PER_UNIT = "mean", "per_unit"
SLOW_RATE = "slow_rate"
INVALID_JSON_RATE = "invalid_json_rate"

BUILT_IN: Mapping[str, str] = {
    "error_rate": "share of requests that failed or broke; those that the caller gave up are left out",
    "cost_per_request": "US dollars per request whose cost is known",
    "ttft": "mean milliseconds to the first content",
    SLOW_RATE: "share of requests slower to their first content than 95 % of the control's: the guardrail on the p95",
    "duration": "mean milliseconds to the end",
    "output_tokens": "mean tokens of an answer",
    "refusal_rate": "share of requests that the model refused",
    INVALID_JSON_RATE: "share of answers that were to be JSON and are none; those that were cut, refused or call tools are left out",
    "abort_rate": "share of requests that the caller gave up",
    "repeat_rate": "share of requests that the same unit sent again within a minute",
    "failover_rate": "share of requests that another target than the first one served",
}
"""What each built-in metric is; less of it is better."""
GUARDRAILS = ("error_rate", SLOW_RATE, "cost_per_request")
"""Built-in metrics that are guardrails unless policy says otherwise."""


class MetricSpec(Value, frozen=True):
    """A metric with everything filled in.

    Attributes:
        goal: Which way is better.
        of: For feedback: the mean of its values, or their sum per unit; empty for built-in metrics.
        margin: Share of the control's value by which a guardrail may be worse before it counts.
    """

    name: str
    goal: str
    role: str
    of: str = ""
    margin: float = 0.0

    @property
    def is_built_in(self) -> bool:
        """Whether it comes from outcomes."""
        return self.name in BUILT_IN


def specs_of(declared: Sequence[Metric], feedback: Sequence[str] = ()) -> list[MetricSpec]:
    """Every metric of an experiment: what policy declares, the built-in ones, and what feedback brought.

    Args:
        feedback: Names of metrics that feedback was given for.
    """
    found = {m.name: _declared(m) for m in declared}
    for name in BUILT_IN:
        role = GUARDRAIL if name in GUARDRAILS else SECONDARY
        found.setdefault(name, MetricSpec(name, DECREASE, role))
    for name in feedback:
        found.setdefault(name, MetricSpec(name, INCREASE, SECONDARY, MEAN))
    order = {PRIMARY: 0, GUARDRAIL: 1, SECONDARY: 2}
    return sorted(found.values(), key=lambda spec: order[spec.role])


def _declared(metric: Metric) -> MetricSpec:
    built_in = metric.name in BUILT_IN
    return MetricSpec(
        name=metric.name,
        goal=metric.goal or (DECREASE if built_in else INCREASE),
        role=metric.role or (GUARDRAIL if metric.name in GUARDRAILS else SECONDARY),
        of="" if built_in else metric.of or MEAN,
        margin=metric.margin or 0.0,
    )
