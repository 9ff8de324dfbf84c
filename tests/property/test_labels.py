"""Residency: whatever a request names, and however, nothing is tried that lacks a label which policy demands."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.core.policy.preferences import BY_FALLBACKS, BY_MODEL, TOGETHER, Preferences, by
from services.core.policy.snapshot import Snapshot
from services.core.routing.context import RequestContext
from services.core.routing.decide import decide
from services.core.routing.health import HealthView, Speed
from services.core.routing.plan import Plan
from tests.support.policies import snapshot_of

REGIONS = {"eu1": "eu", "eu2": "EU", "us1": "us", "none": ""}
MODELS = [f"{provider}/m{number}" for provider in REGIONS for number in range(3)]
PROVIDERS = "\n".join(
    f"- {{kind: Provider, name: {name}, type: openai_compatible, base_url: 'http://{name}', labels: {{{labels}}}}}"
    for name, labels in ((n, f"region: {r}, tier: gold" if r else "") for n, r in REGIONS.items())
)
NAMED = "\n".join(f"- {{kind: Model, name: {model}}}" for model in MODELS)
ALIASES = "\n".join(
    f"- {{kind: Alias, name: {name}, model: {model}}}"
    for name, model in (("best", "us1/m0"), ("safe", "eu1/m0"), ("any", "auto"), ("routed", "inworld/labelled"))
)
_SELECTION = "model_selection: {models: [us1/m1, none/m2, eu2/m1], provider: {labels: {region: eu}}}"
ROUTERS = f"""
- kind: Router
  name: labelled
  default_route:
    variants:
    - {{weight: 50, variant: {{variant_id: a, model_id: eu1/m0, {_SELECTION}}}}}
    - {{weight: 50, variant: {{variant_id: b, model_id: auto, model_selection: {{provider: {{labels: {{region: eu}}}}}}}}}}
- kind: Router
  name: open
  default_route: {{variants: [{{weight: 100, variant: {{model_id: eu1/m0, model_selection: {{models: [us1/m0]}}}}}}]}}
"""
POLICY = f"{PROVIDERS}\n{NAMED}\n{ALIASES}\n{ROUTERS}"
BY_VARIANT = snapshot_of(POLICY)
BY_SETTINGS = snapshot_of(f"{POLICY}\n- {{kind: Settings, name: default, require_labels: {{region: eu}}}}")

words = st.sampled_from(
    [*MODELS, "m0", "m1:nitro", "m2:floor", "us1/m0:free", "us1/unknown", "best", "safe", "any", "auto", "nobody/x"]
)
preferences = st.builds(
    Preferences,
    order=st.lists(st.sampled_from([*REGIONS]), max_size=2).map(tuple),
    only=st.lists(st.sampled_from(["us1", "eu1", "none"]), max_size=2).map(tuple),
    allow_fallbacks=st.booleans(),
    sort=st.lists(st.sampled_from([by("price"), by("latency")]), max_size=2).map(tuple),
    together=st.sampled_from([BY_MODEL, BY_FALLBACKS, TOGETHER]),
)
fallbacks = st.lists(words, max_size=6).map(tuple)
users = st.text(max_size=3)
speeds = st.dictionaries(st.sampled_from(MODELS), st.floats(0.001, 9).map(lambda s: Speed((s,))), max_size=6)


def tried(snapshot: Snapshot, context: RequestContext, health: HealthView, seed: int) -> set[str]:
    """Regions of everything that a request may reach: attempts, hedges and mends are all made of candidates."""
    plan = decide(snapshot, context, health, 0.0, seed)
    if not isinstance(plan, Plan):
        return set()
    return {candidate.target.provider.labels.get("region", "").lower() for candidate in plan.candidates}


@given(st.sampled_from(["inworld/labelled", "routed"]), fallbacks, preferences, users, speeds, st.integers(0, 99))
def test_what_a_variant_demands_holds_for_what_the_request_brings(
    model: str, models: tuple[str, ...], wanted: Preferences, user: str, seen: dict[str, Speed], seed: int
) -> None:
    context = RequestContext(model, models, wanted, user=user)
    assert tried(BY_VARIANT, context, HealthView(speeds=seen), seed) <= {"eu"}


@given(st.one_of(words, st.sampled_from(["inworld/open", "inworld/labelled"])), fallbacks, preferences, users, speeds)
def test_what_the_settings_demand_holds_for_every_request(
    model: str, models: tuple[str, ...], wanted: Preferences, user: str, seen: dict[str, Speed]
) -> None:
    context = RequestContext(model, models, wanted, user=user)
    assert tried(BY_SETTINGS, context, HealthView(speeds=seen), 7) <= {"eu"}


def test_without_demands_the_same_requests_reach_other_regions() -> None:
    reached = tried(BY_VARIANT, RequestContext("inworld/open", ("none/m0",)), HealthView(), 1)
    assert reached == {"eu", "us", ""}


def test_who_is_left_out_is_told_with_the_reason() -> None:
    plan = decide(BY_VARIANT, RequestContext("inworld/labelled", ("us1/m2", "none/m0"), user="c"), HealthView(), 0.0, 1)
    assert isinstance(plan, Plan)
    skipped = {s.model: s.why for s in plan.skipped}
    assert skipped["us1/m2"] == "labels.region: the label 'region' of us1 is 'us'"
    assert skipped["none/m0"] == "labels.region: the label 'region' of none is not set"
    refused = decide(BY_SETTINGS, RequestContext("us1/m0"), HealthView(), 0.0, 1)
    assert not isinstance(refused, Plan)
    assert refused.reason == "NO_PROVIDER"
    assert "require_labels.region: the label 'region' of us1 is 'us'" in refused.message
