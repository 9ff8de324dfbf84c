"""The ways to try a plan, in order: its candidates × their addresses × their credentials.

Policy orders the candidates; health orders what it may:
  * Among addresses and credentials of one candidate, a session has one that is its own, whichever worker serves
    it (rendezvous hashing): there its prompt is in the cache. If that one has clearly more to do than the others, or the
    request names no session, two are drawn and the better one goes first (power of two choices; better is the one
    with fewer attempts in flight, as in Prequal).
  * A target that comes back or is overloaded takes its share of requests, and the others find it
    behind the others.
  * What is set aside goes last, the soonest back first. Health orders, only policy excludes.

Sources: Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing" (2001); Mirrokni, Thorup, Zadimoghaddam,
"Consistent Hashing with Bounded Loads" (SODA 2018);
Wydrowski et al., "Load is not what you should balance: Introducing Prequal" (NSDI 2024).
"""

from __future__ import annotations

from services.core.policy.rules import ClockRule
from services.core.routing.draw import uniform
from services.core.routing.health import WHOLE, HealthView, Speed, credential_name, target_name
from services.core.routing.plan import Candidate, Plan
from services.core.values import Value

MIN_SAMPLES = 20
"""Times to first content that must be known before a percentile is believed."""
HEDGE_FACTOR = 1.2
"""A hedge begins a little after the percentile: half of what lies just behind it comes by itself."""
HEDGE_FLOOR = 0.02
HOME_LOAD = 1.25
"""A session stays at its own address up to this multiple of the mean of attempts in flight,"""
HOME_SLACK = 2
"""and so many more: a few are no load."""


class Choice(Value, frozen=True):
    """One way to try.

    Attributes:
        target: Name of the target's health cell; `credential_cell` that of its credential, or "".
        window: Context window in tokens; 0: unknown.
        first_content: Seconds until the first content, adapted to the target where policy says so.
        patience: The same, when there is no other choice to go to.
        hedge_after: Seconds of silence after which a hedge is due; 0.0: unknown.
        until: Set aside until then (monotonic seconds); 0.0: free. `asked`: a provider asked for it.
        why: Kind of the failure behind it.
    """

    candidate: int
    address: int
    credential: int
    target: str = ""
    credential_cell: str = ""
    window: int = 0
    total: float = 600.0
    first_content: float = 20.0
    patience: float = 20.0
    hedge_after: float = 0.0
    until: float = 0.0
    asked: bool = False
    why: str = ""


def choices_of(plan: Plan, now: float, health: HealthView, *, stream: bool = True) -> tuple[Choice, ...]:
    """Every way to try `plan`, in order; never empty."""
    found: list[Choice] = []
    for index, candidate in enumerate(plan.candidates):
        own = _own_choices(plan, index, candidate, health, now, stream=stream)
        found += _pool_order(plan, candidate, own, health) if len(own) > 1 else own
    if len(found) > 1 and (health.benched_until or health.shares):
        shed = {c.target for c in found if _is_shed(plan, c, health)}
        # Stable: among equals the plan's order stays.
        found.sort(key=lambda c: (c.until, c.target in shed))
    return tuple(found)


def _own_choices(
    plan: Plan, index: int, candidate: Candidate, health: HealthView, now: float, *, stream: bool
) -> list[Choice]:
    target, provider = candidate.target, candidate.target.provider
    speed = health.speeds.get(target.model if stream else target.model + WHOLE, _UNKNOWN)
    (limit, patience), hedge = _first_content(candidate.clocks, speed), _hedge_after(plan, speed)
    found = []
    for number, address in enumerate(provider.addresses):
        for place, reference in enumerate(address.credentials or ("",)):
            name = target_name(target.model, address.name, reference)
            cell = credential_name(provider.name, reference) if reference else ""
            until, asked, why = _set_aside((name, cell), health, now)
            found.append(
                Choice(
                    candidate=index,
                    address=number,
                    credential=place,
                    target=name,
                    credential_cell=cell,
                    window=target.context_length,
                    total=candidate.clocks.total,
                    first_content=limit,
                    patience=patience,
                    hedge_after=hedge,
                    until=until,
                    asked=asked,
                    why=why,
                )
            )
    return found


_UNKNOWN = Speed()


def _set_aside(names: tuple[str, str], health: HealthView, now: float) -> tuple[float, bool, str]:
    """Until when the last of `names` is set aside, whether a provider asked for any of it, and why."""
    until, asked, why = 0.0, False, ""
    if not health.benched_until:
        return until, asked, why
    for name in names:
        end = health.benched_until.get(name, 0.0)
        if end > now:
            asked = asked or name in health.asked
            if end > until:
                until, why = end, health.why.get(name, "")
    return until, asked, why


def _first_content(clocks: ClockRule, speed: Speed) -> tuple[float, float]:
    """The limit on the time to first content, adapted where policy says so, and the limit for a last choice.

    The last choice is given all the time that policy has: to give up on it helps nobody, and only
    an answer that was waited for tells the new speed of a target that has become slower.
    """
    rule = clocks.ttft
    if rule is None:
        return clocks.first_content, clocks.first_content
    ceiling = rule.max or clocks.first_content
    if len(speed.samples) < MIN_SAMPLES:
        return ceiling, ceiling
    return min(ceiling, max(rule.min, rule.factor * speed.percentile(rule.p))), ceiling


def _hedge_after(plan: Plan, speed: Speed) -> float:
    rule = plan.hedge
    if not rule.enabled:
        return 0.0
    if not rule.percentile:
        return rule.after
    if len(speed.samples) < MIN_SAMPLES:
        return 0.0
    return max(HEDGE_FLOOR, HEDGE_FACTOR * speed.percentile(rule.percentile))


def _pool_order(plan: Plan, candidate: Candidate, own: list[Choice], health: HealthView) -> list[Choice]:
    """The session's own choice first, or the better one of two that are drawn; the others follow in turn."""
    size, model = len(own), candidate.target.model
    if plan.session:
        home = max(range(size), key=lambda place: uniform(0, f"{own[place].target} {plan.session}"))
        loads = [health.in_flight.get(choice.target, 0) for choice in own]
        if loads[home] <= HOME_LOAD * sum(loads) / size + HOME_SLACK:
            return own[home:] + own[:home]
    one = int(uniform(plan.seed, f"pool/{model}") * size)
    other = (one + 1 + int(uniform(plan.seed, f"pool2/{model}") * (size - 1))) % size
    best = min((one, other), key=lambda place: (health.in_flight.get(own[place].target, 0), place != one))
    return own[best:] + own[:best]


def _is_shed(plan: Plan, choice: Choice, health: HealthView) -> bool:
    """Whether this request is not among the target's share of traffic."""
    share = min(health.shares.get(choice.target, 1.0), health.shares.get(choice.credential_cell, 1.0))
    return share < 1.0 and uniform(plan.seed, f"share/{choice.target}") >= share
