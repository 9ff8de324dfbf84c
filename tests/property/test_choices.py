"""The order in which a plan's choices are tried: complete, repeatable, and as health says."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from services.core.attempts.choices import HOME_LOAD, HOME_SLACK, MIN_SAMPLES, Choice, choices_of
from services.core.policy.rules import ClockRule, HedgeRule, TtftRule
from services.core.routing.health import HEALTHY, WHOLE, HealthView, Speed
from services.core.routing.plan import Plan
from services.core.values import changed
from tests.property.chains import NOW, candidate_of, plan_of, plans, views


def way(choice: Choice) -> tuple[int, int, int]:
    return choice.candidate, choice.address, choice.credential


@settings(max_examples=200, deadline=None)
@given(plans, views)
def test_every_way_is_there_once_and_what_is_set_aside_goes_last(plan: Plan, view: HealthView) -> None:
    choices = choices_of(plan, NOW, view)
    expected = [
        (index, number, place)
        for index, candidate in enumerate(plan.candidates)
        for number, address in enumerate(candidate.target.provider.addresses)
        for place in range(max(1, len(address.credentials)))
    ]
    assert sorted(way(c) for c in choices) == expected
    assert len({c.target for c in choices}) == len(choices)
    untils = [c.until for c in choices]
    assert untils == sorted(untils)
    for choice in choices:
        cells = [n for n in (choice.target, choice.credential_cell) if view.benched(n, NOW)]
        assert choice.until == max((view.benched_until[n] for n in cells), default=0.0)
        assert choice.asked == any(n in view.asked for n in cells)
    free = [c for c in choices if not c.until and view.shares.get(c.target, view.shares.get(c.credential_cell)) is None]
    assert [c.candidate for c in free] == sorted(c.candidate for c in free), "policy orders what health leaves equal"
    assert choices == choices_of(plan, NOW, view)


@given(st.sampled_from([0.1, 0.5, 0.9]))
@settings(max_examples=3, deadline=None)
def test_a_share_of_traffic_is_that_share(share: float) -> None:
    view = HealthView(shares={"p0/m": share})
    firsts = Counter(
        choices_of(plan_of(candidate_of(0), candidate_of(1), seed=seed), NOW, view)[0].candidate
        for seed in range(2_000)
    )
    assert abs(firsts[0] / 2_000 - share) < 0.04


def test_a_shed_request_still_finds_the_target_behind_the_others() -> None:
    view = HealthView(shares={"p0/m": 0.1, "p1/m": 0.1})
    orders = {
        tuple(c.candidate for c in choices_of(plan_of(candidate_of(0), candidate_of(1), seed=seed), NOW, view))
        for seed in range(500)
    }
    assert orders == {(0, 1), (1, 0)}


@settings(max_examples=100, deadline=None)
@given(st.integers(2, 3), st.integers(0, 2), st.integers(0, 2**64 - 1), st.data())
def test_the_busiest_address_of_all_goes_first_only_against_itself(
    addresses: int, credentials: int, seed: int, data: st.DataObject
) -> None:
    plan = plan_of(candidate_of(0, addresses=addresses, credentials=credentials), seed=seed)
    quiet = choices_of(plan, NOW, HEALTHY)
    busiest = data.draw(st.sampled_from([c.target for c in quiet]))
    busy = choices_of(plan, NOW, HealthView(in_flight={busiest: 3}))
    assert busy[0].target != busiest, "two are drawn, and never the same twice"
    assert busy[0] in quiet[:1] or quiet[0].target == busiest


def test_load_spreads_evenly_over_a_pool() -> None:
    firsts = Counter(
        way(choices_of(plan_of(candidate_of(0, addresses=3, credentials=2), seed=seed), NOW, HEALTHY)[0])
        for seed in range(6_000)
    )
    assert len(firsts) == 6
    assert all(abs(count - 1_000) < 150 for count in firsts.values())


def homes(size: int, conversations: int, view: HealthView = HEALTHY) -> dict[str, str]:
    """The address that each conversation's requests go to first, from workers and turns that draw differently."""
    found: dict[str, str] = {}
    for number in range(conversations):
        for seed in (1, 2):
            plan = changed(plan_of(candidate_of(0, addresses=size), seed=seed * number), session=f"c{number}")
            first = choices_of(plan, NOW, view)[0].target
            assert found.setdefault(plan.session, first) == first
    return found


def test_the_turns_of_a_conversation_go_to_one_address_and_conversations_spread() -> None:
    counts = Counter(homes(4, 2_000).values())
    assert len(counts) == 4
    assert all(abs(count - 500) < 100 for count in counts.values())


def test_another_address_takes_conversations_only_for_itself() -> None:
    before, after = homes(3, 1_000), homes(4, 1_000)
    moved = {name for name in before if before[name] != after[name]}
    (added,) = {after[name] for name in moved}
    assert added not in before.values()
    assert 180 < len(moved) < 330, "a quarter"


@given(st.integers(2, 5), st.integers(0, 200), st.text(min_size=1, max_size=10))
def test_a_home_that_has_clearly_more_to_do_is_left(size: int, load: int, conversation: str) -> None:
    plan = changed(plan_of(candidate_of(0, addresses=size)), session=conversation)
    home = choices_of(plan, NOW, HEALTHY)[0].target
    view = HealthView(in_flight={home: load})
    first = choices_of(plan, NOW, view)[0].target
    within = load <= HOME_LOAD * load / size + HOME_SLACK
    assert (first == home) or not within
    if not within:
        drawn = choices_of(changed(plan, session=""), NOW, view)[0].target
        assert first == drawn, "then it is drawn as if nobody had said"


samples = st.lists(st.floats(0.001, 30.0), min_size=1, max_size=128).map(lambda s: tuple(sorted(s)))


@given(samples, st.sampled_from([0.0, 0.01, 0.5, 0.9, 0.95, 0.99, 0.999]))
def test_a_percentile_is_the_smallest_value_that_is_not_exceeded_by_more_than_its_share(
    values: tuple[float, ...], p: float
) -> None:
    found = Speed(values).percentile(p)
    assert found == min(v for v in values if sum(w <= v for w in values) >= p * len(values) - 1e-9)


@given(samples, st.booleans())
def test_limits_and_hedges_follow_the_speed_once_it_is_known(values: tuple[float, ...], stream: bool) -> None:
    rule = TtftRule(p=0.9, factor=3.0, min=0.2, max=7.0)
    candidate = changed(candidate_of(0), clocks=ClockRule(ttft=rule))
    plan = plan_of(candidate, hedge=HedgeRule(enabled=True))
    view = HealthView(speeds={"p0/m" + ("" if stream else WHOLE): Speed(values)})
    (choice,) = choices_of(plan, NOW, view, stream=stream)
    (other,) = choices_of(plan, NOW, view, stream=not stream)
    assert (other.first_content, other.hedge_after) == (7.0, 0.0), "nothing is known of the other kind of answers"
    assert choice.patience == 7.0
    if len(values) < MIN_SAMPLES:
        assert (choice.first_content, choice.hedge_after) == (7.0, 0.0)
    else:
        assert 0.2 <= choice.first_content <= 7.0
        assert choice.first_content == min(7.0, max(0.2, 3.0 * Speed(values).percentile(0.9)))
        assert choice.hedge_after >= Speed(values).percentile(0.95)
