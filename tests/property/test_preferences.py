"""Preferences over any policy and any request: what is tried is allowed, ordered, and can be decided again."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from services.core.policy.preferences import (
    BY_FALLBACKS,
    BY_MODEL,
    METRICS,
    TOGETHER,
    Cutoff,
    LabelDemand,
    Preferences,
    PriceLimit,
    SortKey,
)
from services.core.policy.selection import names_any, unwanted
from services.core.routing.auto import MAX_CANDIDATES, score
from services.core.routing.context import RequestContext
from services.core.routing.decide import decide
from services.core.routing.health import HealthView, Speed
from services.core.routing.measures import Readings
from services.core.routing.plan import Plan
from tests.support.policies import snapshot_of

NAMES = ("a", "b", "c")
MODELS = [f"{provider}/m{number}" for provider in NAMES for number in range(4)]
_LABELS = {"a": '{zdr: "true", region: eu-west}', "b": '{zdr: "no"}', "c": "{}"}


def _priced(index: int) -> str:
    # Two in five have no price, and some have the same.
    prices = "" if index % 5 < 2 else f", prices: {{input_per_million: {index % 4}, output_per_million: {index % 3}}}"
    return f"- {{kind: Model, name: {MODELS[index]}{prices}}}"


SNAPSHOT = snapshot_of(
    "\n".join(
        [
            *(
                f"- {{kind: Provider, name: {n}, type: openai_compatible, base_url: 'http://{n}', labels: {_LABELS[n]}}}"
                for n in NAMES
            ),
            *(_priced(index) for index in range(len(MODELS))),
        ]
    )
)

providers = st.lists(st.sampled_from([*NAMES, "a/eu", "nobody"]), max_size=3, unique=True).map(tuple)
keys = st.builds(SortKey, st.sampled_from(sorted(METRICS)), st.booleans())
amounts = st.none() | st.integers(0, 4).map(float)
cutoffs = st.lists(st.builds(Cutoff, st.sampled_from([0.5, 0.9]), st.floats(0, 100)), max_size=2).map(tuple)
demands = st.lists(st.just(LabelDemand("zdr", "zdr", ("true",))), max_size=1).map(tuple)
preferences = st.builds(
    Preferences,
    only=providers,
    ignore=st.lists(st.sampled_from([*MODELS, "b"]), max_size=3).map(tuple),
    order=providers,
    allow_fallbacks=st.booleans(),
    labels=demands,
    max_price=st.none() | st.builds(PriceLimit, amounts, amounts),
    sort=st.lists(keys, max_size=3).map(tuple),
    together=st.sampled_from([BY_MODEL, BY_FALLBACKS, TOGETHER]),
    max_latency=cutoffs,
    min_throughput=cutoffs,
)
samples = st.lists(st.floats(0.001, 1000), min_size=1, max_size=5).map(lambda values: Speed(tuple(sorted(values))))
measured = st.dictionaries(st.sampled_from(MODELS), samples, max_size=8)
contexts = st.builds(
    RequestContext,
    model=st.sampled_from(["auto", "m0", "m1:nitro", "m2:floor", *MODELS]),
    models=st.lists(st.sampled_from([*MODELS, "m3"]), max_size=6).map(tuple),
    preferences=preferences,
)


@given(contexts, measured, measured)
def test_what_is_tried_is_what_the_request_allows(
    context: RequestContext, speeds: dict[str, Speed], rates: dict[str, Speed]
) -> None:
    plan = decide(SNAPSHOT, context, HealthView(speeds=speeds, rates=rates), 0.0, 1)
    if not isinstance(plan, Plan):
        assert plan.reason == "NO_PROVIDER"
        return
    models = [c.target.model for c in plan.candidates]
    assert len(models) == len(set(models)) > 0
    assert not [c for c in plan.candidates if unwanted(c.target, context.preferences)]
    assert not plan.automatic or len(models) <= MAX_CANDIDATES
    wanted = context.preferences
    if not wanted.allow_fallbacks:
        named = [c for c in plan.candidates if names_any(wanted.order, c.target.provider)]
        assert len(models) == (len(named) or 1)


@given(contexts, measured, measured)
def test_a_decision_can_be_made_again_from_what_it_measured(
    context: RequestContext, speeds: dict[str, Speed], rates: dict[str, Speed]
) -> None:
    health = HealthView(speeds=speeds, rates=rates)
    plan = decide(SNAPSHOT, context, health, 0.0, 1)
    assert plan == decide(SNAPSHOT, context, health, 0.0, 1)
    if isinstance(plan, Plan):
        again = decide(SNAPSHOT, context, HealthView.replaying(plan.measured), 0.0, 1)
        assert again == plan


@given(st.lists(keys, min_size=1, max_size=3).map(tuple), measured, measured, st.permutations(MODELS))
def test_a_sort_is_total_and_keeps_the_order_of_equals(
    sort: tuple[SortKey, ...], speeds: dict[str, Speed], rates: dict[str, Speed], models: list[str]
) -> None:
    health = HealthView(speeds=speeds, rates=rates)
    wanted = Preferences(sort=sort, together=TOGETHER)
    plan = decide(SNAPSHOT, RequestContext("", tuple(models), wanted), health, 0.0, 1)
    assert isinstance(plan, Plan)
    assert sorted(c.target.model for c in plan.candidates) == sorted(MODELS)
    readings = Readings(health)
    ranks = {c.target.model: score(c.target, sort, readings).rank for c in plan.candidates}
    for before, after in pairwise(c.target.model for c in plan.candidates):
        assert ranks[before] <= ranks[after]
        assert ranks[before] < ranks[after] or models.index(before) < models.index(after)
