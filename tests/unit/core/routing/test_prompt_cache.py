"""What is believed of prompt caches, and what that does to a decision."""

from __future__ import annotations

import pytest

from services.core.policy.documents import Prices
from services.core.policy.preferences import TOGETHER, Preferences, by
from services.core.pricing import TokenUsage
from services.core.routing.context import RequestContext
from services.core.routing.decide import decide
from services.core.routing.health import HEALTHY, Measurement
from services.core.routing.plan import Plan
from services.core.routing.prompt_cache import HOUR, LIFETIME, PROMPT_CACHE, Held, cached_shares, held_after
from tests.support.policies import snapshot_of

UNASKED = Prices(2.0, 8.0, 0.2)
"""Of a provider that caches by itself."""
ASKED = Prices(3.0, 15.0, 0.3, 3.75)
"""Of one that caches what it is told to, and is paid for it."""
SNAPSHOT = snapshot_of("""
- {kind: Provider, name: one, type: openai_compatible, base_url: "http://one"}
- {kind: Provider, name: two, type: openai_compatible, base_url: "http://two"}
- {kind: Model, name: one/cheap, prices: {input_per_million: 1, output_per_million: 4, cache_read_per_million: 0.5}}
- {kind: Model, name: two/dear, prices: {input_per_million: 1.5, output_per_million: 4, cache_read_per_million: 0.15},
   scores: {coding: 0.7}}
- {kind: Model, name: two/plain, prices: {input_per_million: 1.2, output_per_million: 4}}
""")
CHEAPEST = Preferences(sort=(by("price"),), together=TOGETHER)


def plan(cached: dict[str, float], preferences: Preferences = CHEAPEST, model: str = "two/dear") -> Plan:
    context = RequestContext(model, ("one/cheap", "two/plain"), preferences=preferences, session="s", cached=cached)
    found = decide(SNAPSHOT, context, HEALTHY, 0.0, 1)
    assert isinstance(found, Plan)
    return found


def order(found: Plan) -> list[str]:
    return [candidate.target.model for candidate in found.candidates]


def test_a_provider_that_caches_unasked_holds_the_whole_prompt() -> None:
    assert held_after(TokenUsage(4_000, 500), UNASKED, None, 10.0) == Held(4_000, 4_500, 10.0 + LIFETIME)


@pytest.mark.parametrize(
    ("usage", "before", "tokens"),
    [
        (TokenUsage(1_000, 500), None, 0),  # too short
        (TokenUsage(5_000, 500), Held(4_000, 4_500, 20.0), 0),  # should have been read, and was not
        (TokenUsage(5_000, 500), Held(0, 4_500, 20.0), 0),  # as before
        (TokenUsage(5_000, 500), Held(4_000, 4_500, 10.0), 5_000),  # it was too late to be read
        (TokenUsage(5_000, 500, cache_read_tokens=3_968), Held(4_000, 4_500, 20.0), 5_000),
        (TokenUsage(5_000, 500, cache_read_tokens=3_968), Held(0, 4_500, 20.0), 5_000),
    ],
)
def test_what_was_not_read_where_it_should_have_been_is_not_there(
    usage: TokenUsage, before: Held | None, tokens: int
) -> None:
    found = held_after(usage, UNASKED, before, 10.0)
    assert found is not None
    assert found.tokens == tokens


@pytest.mark.parametrize(("read", "written", "tokens"), [(0, 0, 0), (0, 3_000, 3_000), (3_000, 900, 3_900)])
def test_a_provider_that_is_told_what_to_cache_holds_what_it_tells(read: int, written: int, tokens: int) -> None:
    usage = TokenUsage(4_000, 500, cache_read_tokens=read, cache_write_tokens=written)
    assert held_after(usage, ASKED, None, 0.0) == Held(tokens, 4_500, LIFETIME)


def test_what_was_written_for_an_hour_is_held_for_an_hour() -> None:
    usage = TokenUsage(4_000, 500, cache_write_tokens=3_000, cache_write_1h_tokens=3_000)
    found = held_after(usage, ASKED, None, 0.0)
    assert found is not None
    assert found.until == HOUR


def test_where_cached_input_has_no_price_of_its_own_there_is_nothing_to_remember() -> None:
    assert held_after(TokenUsage(4_000, 500), Prices(1.0, 2.0), None, 0.0) is None
    assert held_after(TokenUsage(0, 500), UNASKED, None, 0.0) is None


def test_shares_are_of_the_longest_prompt_that_is_known() -> None:
    held = {
        "a": Held(4_000, 4_500, 20.0),
        "b": Held(6_000, 8_000, 20.0),
        "late": Held(1, 1, 10.0),
        "none": Held(0, 9, 20.0),
    }
    assert cached_shares(held, 0, 10.0) == {"a": 0.5, "b": 0.75}
    assert cached_shares(held, 16_000, 10.0) == {"a": 0.25, "b": 0.375}
    assert cached_shares({}, 100, 10.0) == {}


def test_the_model_that_holds_the_prompt_is_the_cheapest_until_it_holds_too_little() -> None:
    assert order(plan({})) == ["one/cheap", "two/plain", "two/dear"]
    # 1.5 a million, less 0.9 of 1.35, is below 1.
    assert order(plan({"two/dear": 0.9})) == ["two/dear", "one/cheap", "two/plain"]
    assert order(plan({"two/dear": 0.3})) == ["one/cheap", "two/dear", "two/plain"]
    assert order(plan({"two/dear": 0.9, "one/cheap": 0.9})) == ["two/dear", "one/cheap", "two/plain"]


def test_the_term_is_shown_and_the_decision_can_be_made_again_from_what_was_read() -> None:
    found = plan({"two/dear": 0.9, "two/plain": 0.9, "gone/model": 1.0})
    assert {s.model: s.score.cached for s in found.scores} == {"two/dear": 0.9, "one/cheap": 0.0, "two/plain": 0.0}
    assert "two/dear $1.214/M tokens (prompt cache 90%)" in found.reasons[-1]
    assert found.measured == (Measurement("two/dear", PROMPT_CACHE, 0.0, 0.9),)
    again = plan({m.model: m.value for m in found.measured})
    assert (order(again), again.scores) == (order(found), found.scores)


def test_an_automatic_choice_and_a_floor_count_it_too() -> None:
    cheapest = Preferences(sort=(by("price"),))
    context = RequestContext("auto", ("one/cheap", "two/dear"), preferences=cheapest, cached={"two/dear": 0.9})
    found = decide(SNAPSHOT, context, HEALTHY, 0.0, 1)
    assert isinstance(found, Plan)
    assert order(found) == ["two/dear", "one/cheap"]
    assert found.automatic
    floored = snapshot_of("""
- {kind: Provider, name: one, type: openai_compatible, base_url: "http://one"}
- {kind: Model, name: one/a, prices: {input_per_million: 1, output_per_million: 4}, scores: {coding: 0.7}}
- {kind: Model, name: one/b, prices: {input_per_million: 1.5, output_per_million: 4, cache_read_per_million: 0.15},
   scores: {coding: 0.7}}
- kind: Router
  name: r
  default_route:
    route_id: d
    variants:
    - weight: 100
      variant: {variant_id: v, model_id: one/a, model_selection: {models: [one/b], quality_floor: {metric: coding}}}
""")
    cached = decide(floored, RequestContext("inworld/r", cached={"one/b": 0.9}), HEALTHY, 0.0, 1)
    fresh = decide(floored, RequestContext("inworld/r"), HEALTHY, 0.0, 1)
    assert isinstance(cached, Plan)
    assert isinstance(fresh, Plan)
    assert (order(fresh), order(cached)) == (["one/a", "one/b"], ["one/b", "one/a"])


def test_what_is_not_sorted_by_price_is_not_changed_by_it() -> None:
    quality = Preferences(sort=(by("coding"),), together=TOGETHER)
    found = plan({"one/cheap": 1.0}, quality)
    assert order(found) == order(plan({}, quality))
    assert found.measured == ()
    assert all(not scored.score.cached for scored in found.scores)
