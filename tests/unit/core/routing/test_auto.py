"""Automatic choices where transcripts cannot look: whole catalogues, kinds, terms."""

from __future__ import annotations

from dataclasses import replace

from services.core.policy.ports import CatalogueEntry, Located
from services.core.policy.preferences import by
from services.core.routing import auto
from services.core.routing.auto import MAX_CANDIDATES, MAX_LISTED, Term, pool
from services.core.routing.context import RequestContext
from services.core.routing.decide import decide
from services.core.routing.health import HEALTHY
from services.core.routing.plan import Plan
from tests.support.policies import SmallCatalogue, snapshot_of

POLICY = """
- {kind: Provider, name: small, type: openai_compatible, base_url: "http://small"}
- {kind: Provider, name: gateway, type: openai_compatible, base_url: "http://gateway"}
- {kind: Provider, name: named, type: openai_compatible, base_url: "http://named"}
- {kind: Model, name: named/one}
"""


class Listed(SmallCatalogue):
    """A catalogue that lists a few models of one provider, and many of another."""

    def models_of(self, provider: Located) -> tuple[CatalogueEntry, ...]:
        if provider.name == "gateway":
            return tuple(CatalogueEntry(model=f"m{number:03}") for number in range(MAX_LISTED + 1))
        return (
            CatalogueEntry(model="a"),
            CatalogueEntry(model="old", deprecated=True),
            CatalogueEntry(model="vectors", kind="embedding"),
        )


SNAPSHOT = replace(snapshot_of(POLICY), catalogue=Listed())


def names(*entries: str) -> list[str]:
    return [target.model for target in pool(SNAPSHOT, entries)[0]]


def test_models_of_the_catalogue_take_part_where_policy_names_none() -> None:
    assert names() == ["small/a", "named/one"]
    assert names("small") == ["small/a"]
    assert names("named") == ["named/one"]


def test_a_gateway_takes_part_where_it_is_named() -> None:
    assert len(names("gateway")) == MAX_LISTED + 1
    assert names("gateway/*") == []
    plan = decide(SNAPSHOT, RequestContext("auto", ("gateway",)), HEALTHY, 0.0, 1)
    assert isinstance(plan, Plan)
    assert len(plan.candidates) == MAX_CANDIDATES
    assert f"of {MAX_LISTED + 1}" in plan.reasons[0]


def test_what_is_no_chat_model_is_skipped_when_it_is_named() -> None:
    target = replace(SNAPSHOT.models["named/one"], kind="embedding")
    assert auto.no_chat(target) == "its kind is embedding, and an automatic choice is for chat"


def test_terms_are_compared_in_steps_only_where_they_are_measured() -> None:
    assert Term(by("latency"), 0.50).rank == Term(by("latency"), 0.51).rank
    assert Term(by("latency"), 0.50).rank < Term(by("latency"), 0.60).rank
    assert Term(by("price"), 0.50).rank < Term(by("price"), 0.51).rank
    assert Term(by("throughput"), 90.0).rank < Term(by("throughput"), 50.0).rank
    assert Term(by("price"), 1e9).rank < Term(by("price"), None).rank
    assert Term(by("latency"), 0.0).rank < Term(by("latency"), 0.001).rank
