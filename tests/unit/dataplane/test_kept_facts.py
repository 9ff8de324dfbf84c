"""What a record keeps of a decision's facts: what policy lists, cut, and nothing else."""

from __future__ import annotations

from services.core.policy.preferences import Preferences
from services.core.routing.context import RequestContext
from services.dataplane.kept_facts import MAX_CHARS, MAX_ITEMS, kept_facts
from services.dataplane.record_form import record_of
from services.wire.records import past_of
from tests.unit.dataplane.build import plan, trail

METADATA = {
    "language": "es",
    "age": 30,
    "vip": True,
    "secret": "ssn",
    "essay": "x" * (MAX_CHARS + 1),
    "tags": ["a", "b"],
    "many": list(range(MAX_ITEMS + 1)),
    "deep": {"a": 1},
    "nested": [["a"]],
}
CONTEXT = RequestContext(
    "inworld/r",
    ("openai/gpt-5",),
    metadata=METADATA,
    needs=frozenset({"tools"}),
    least_tokens=5,
    messages=({"role": "user", "content": "a prompt"},),
)


def test_by_default_nothing_of_the_metadata_is_kept() -> None:
    facts = kept_facts(CONTEXT, ())
    assert (facts.metadata, facts.known, facts.models, facts.least_tokens) == ({}, (), ("openai/gpt-5",), 5)


def test_what_policy_lists_is_kept_and_what_was_cut_is_not_called_known() -> None:
    facts = kept_facts(CONTEXT, ("language", "age", "vip", "essay", "tags", "many", "deep", "nested", "absent"))
    assert facts.metadata["language"] == "es"
    assert len(facts.metadata["essay"]) == MAX_CHARS
    assert len(facts.metadata["many"]) == MAX_ITEMS
    assert "deep" not in facts.metadata
    assert facts.known == ("language", "age", "vip", "tags", "absent")
    assert not kept_facts(CONTEXT, ()).has_preferences
    assert kept_facts(RequestContext("m", preferences=Preferences(only=("a",))), ()).has_preferences


def test_a_record_gives_the_decision_back_and_never_a_prompt() -> None:
    facts = kept_facts(CONTEXT, ("language", "age", "tags"))
    kept = trail(plan=plan(router_id="r", route_id="a", variant_id="b"), facts=facts, requested_model="inworld/r")
    record = record_of(kept, "node")
    assert "prompt" not in str(record)
    assert "ssn" not in str(record)
    past = past_of(record)
    assert past is not None
    assert past.context.metadata == {"age": 30, "language": "es", "tags": ["a", "b"]}
    assert (past.context.model, past.context.needs, past.place.model) == (
        "inworld/r",
        frozenset({"tools"}),
        "openai/gpt-5",
    )
    assert past_of(record_of(trail(), "node")) is None
    empty = record_of(trail(facts=kept_facts(RequestContext("m"), ())), "node")
    assert past_of(empty) is not None


def test_a_number_that_records_have_no_room_for_is_not_kept() -> None:
    context = RequestContext("m", metadata={"large": 10**400, "listed": [1, 10**400], "age": 30})
    facts = kept_facts(context, ("large", "listed", "age"))
    assert (facts.metadata, facts.known) == ({"listed": [1], "age": 30}, ("age",))
    past = past_of(record_of(trail(facts=facts), "node"))
    assert past is not None
    assert past.context.metadata == facts.metadata
