"""Decisions where transcripts cannot look: what the plan carries, and what is evaluated at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from services.core.policy.snapshot import CompiledRoute, CompiledRouter, CompiledVariant, Snapshot
from services.core.routing.context import RequestContext
from services.core.routing.decide import decide, router_named
from services.core.routing.health import HEALTHY
from services.core.routing.plan import Plan
from tests.support.policies import snapshot_of

POLICY = """
- {kind: Provider, name: openai, type: openai}
- {kind: Provider, name: anthropic, type: anthropic}
- kind: Alias
  name: support
  model: inworld/r
- kind: Router
  name: r
  routes:
  - condition: {cel_expression: 'tier == "gold"'}
    route:
      route_id: gold
      variants:
      - weight: 100
        variant:
          model_id: openai/gpt-5
          text_generation_config: {temperature: 0.5}
          message_templates: [{role: system, content: Be brief.}]
  default_route: {variants: [{weight: 100, variant: {model_id: anthropic/claude}}]}
"""


class Recorder:
    """A condition that notes what it was given."""

    def __init__(self, source: str, *, matched: bool) -> None:
        self.source = source
        self.reads_messages = False
        self.given: list[Mapping[str, Any]] = []
        self._matched = matched

    def matches(self, variables: Mapping[str, Any]) -> bool:
        self.given.append(variables)
        return self._matched


def decided(snapshot: Snapshot, context: RequestContext) -> Plan:
    found = decide(snapshot, context, HEALTHY, 0.0, 5)
    assert isinstance(found, Plan), found
    return found


def with_conditions(*recorders: Recorder, reads_messages: bool) -> Snapshot:
    snapshot = snapshot_of(POLICY)
    variant = CompiledVariant("v", 100, snapshot.routers["r"].routes[0].variants[0].targets)
    routes = tuple(CompiledRoute(recorder.source, recorder, (variant,)) for recorder in recorders)
    unconditional = CompiledRoute("unconditional", None, (variant,))
    router = CompiledRouter("r", "", (unconditional, *routes), None, reads_messages=reads_messages)
    return replace(snapshot, routers={"r": router})


def test_a_plan_names_the_policy_and_the_seed_that_it_can_be_replayed_with() -> None:
    snapshot = snapshot_of(POLICY)
    plan = decided(snapshot, RequestContext("inworld/r"))
    assert (plan.policy_version, plan.policy_revision, plan.seed) == (snapshot.version, 1, 5)


def test_a_candidate_carries_the_parameters_and_templates_of_its_variant() -> None:
    snapshot = snapshot_of(POLICY)
    plan = decided(snapshot, RequestContext("inworld/r", models=("anthropic/claude",), metadata={"tier": "gold"}))
    first, second = plan.candidates
    assert first.generation is not None
    assert first.generation.temperature == 0.5
    assert [template.content for template in first.templates] == ["Be brief."]
    assert (second.generation, second.templates) == (None, ())


def test_a_target_that_the_request_names_again_keeps_what_the_variant_gave_it() -> None:
    context = RequestContext("inworld/r", models=("openai/gpt-5",), metadata={"tier": "gold"})
    (only,) = decided(snapshot_of(POLICY), context).candidates
    assert only.generation is not None
    assert only.templates


def test_conditions_after_the_one_that_matches_are_not_evaluated() -> None:
    first, second, third = Recorder("1", matched=False), Recorder("2", matched=True), Recorder("3", matched=True)
    plan = decided(with_conditions(first, second, third, reads_messages=False), RequestContext("inworld/r"))
    assert plan.route_id == "2"
    assert [len(recorder.given) for recorder in (first, second, third)] == [1, 1, 0]


def test_messages_reach_conditions_only_of_a_router_that_reads_them() -> None:
    context = RequestContext("inworld/r", metadata={"a": 1}, messages=({"role": "user", "content": "secret"},))
    for reads, given in ((False, {"a": 1}), (True, {"a": 1, "messages": context.messages})):
        recorder = Recorder("c", matched=True)
        decided(with_conditions(recorder, reads_messages=reads), context)
        assert recorder.given == [given]


def test_metadata_cannot_pass_itself_off_as_messages() -> None:
    context = RequestContext("inworld/r", metadata={"messages": "forged"}, messages=({"role": "user"},))
    recorder = Recorder("c", matched=True)
    decided(with_conditions(recorder, reads_messages=True), context)
    assert recorder.given[0]["messages"] == context.messages


def test_a_router_is_named_by_namespace_by_itself_or_by_alias() -> None:
    snapshot = snapshot_of(POLICY)
    router = snapshot.routers["r"]
    assert router_named(snapshot, "inworld/r") is router
    assert router_named(snapshot, "r") is router
    assert router_named(snapshot, "support") is router
    assert router_named(snapshot, "inworld/other") is None
    assert router_named(snapshot, "openai/gpt-5") is None
    assert router_named(snapshot, "gpt-5") is None


def test_the_callers_time_to_first_token_replaces_an_adaptive_one() -> None:
    snapshot = snapshot_of(
        POLICY + "- {kind: Settings, name: default, clocks: {ttft: {p: 0.95, factor: 2, min: 300ms}}}\n"
    )
    plain = decided(snapshot, RequestContext("openai/gpt-5")).candidates[0].clocks
    assert plain.ttft is not None
    own = decided(snapshot, RequestContext("openai/gpt-5", clocks={"first_content": 0.8})).candidates[0].clocks
    assert (own.first_content, own.ttft) == (0.8, None)
