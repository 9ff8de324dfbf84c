"""The output of a decision: what to try, in which order, within which bounds, and why."""

from __future__ import annotations

from services.core.policy.documents import MessageTemplate, TextGenerationConfig
from services.core.policy.rules import ClockRule, CommitRule, ExhaustedRule, HedgeRule, Recovery, RetryRule
from services.core.policy.snapshot import ShadowRule, Target
from services.core.routing.auto import Score
from services.core.routing.health import Measurement
from services.core.routing.learned.choice import Choice
from services.core.routing.learned.clusters import Weights
from services.core.values import Value


class Candidate(Value, frozen=True):
    """One target of a plan with everything its attempts need.

    Attributes:
        clocks: All six clocks, merged from settings, provider, router, variant and request.
        named_clocks: Which of them anybody set, as against the built-in defaults.
    """

    target: Target
    clocks: ClockRule
    named_clocks: frozenset[str] = frozenset()
    generation: TextGenerationConfig | None = None
    templates: tuple[MessageTemplate, ...] = ()
    keeps_text: bool = False
    """True: the text that the caller has is kept, for a recovery or for the end of a sentence."""


class Skipped(Value, frozen=True):
    """A target that was not considered, and why."""

    model: str
    why: str


class Scored(Value, frozen=True):
    """A target that was scored, for an automatic choice or to be sorted."""

    model: str
    score: Score


class Shadowing(Value, frozen=True):
    """A second way of the request, which is gone when its caller has the answer."""

    candidate: Candidate
    rule: ShadowRule


class LearnedChoice(Value, frozen=True):
    """How the first candidate was chosen by what was learned.

    Attributes:
        kinds: Version of the kinds of requests.
        phi: Kinds that the request belongs to.
        table: Version of the table; empty: there was none, and priors decided.
        session: Whose draw it was; empty: the request's own. Never shown: records keep its hash.
    """

    choice: Choice
    kinds: str
    phi: Weights
    segment: str = ""
    table: str = ""
    session: str = ""


class Plan(Value, frozen=True):
    """An ordered list of candidates (never empty, no target twice) and the bounds on trying them.

    Attributes:
        seed: The draw's seed; the same snapshot, context, health, now and seed give the same plan.
        reasons: One line per step of the decision, for people.
        measured: What of the health decided on the order; `HealthView.replaying` makes the same plan of it.
        warnings: What the caller asked for and did not get.
        automatic: The models were chosen, and not named by anybody.
        unit: What the variant was assigned to; empty: nothing. Never shown: records keep its hash.
        slot: The unit's slot, 0 to 9,999; -1: none was needed.
        exposed: The unit is in the route's experiment.
        condition: The expression that chose the route; empty: the default route, or none.
        unit_kind: What `unit` is: "user", "session" or "metadata.KEY"; empty: there is none.
        scores: What was scored, best first, once for each model; empty: nothing was sorted.
        session: The session that the request belongs to, so that its next turn finds the provider's cache; empty: not
            said. Never shown. A user is none: services often name one for all of their requests.
        shadow: Where it is sent as well once it is answered; None: nowhere.
        learned: How its first candidate was chosen by what was learned; None: it was not.
    """

    candidates: tuple[Candidate, ...]
    retry: RetryRule
    policy_version: str
    policy_revision: int
    seed: int
    router_id: str = ""
    route_id: str = ""
    variant_id: str = ""
    reasons: tuple[str, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    hedge: HedgeRule = HedgeRule()
    commit: CommitRule = CommitRule()
    recovery: Recovery = Recovery.HONEST_ERROR
    on_exhausted: ExhaustedRule = ExhaustedRule()
    measured: tuple[Measurement, ...] = ()
    warnings: tuple[str, ...] = ()
    automatic: bool = False
    unit: str = ""
    slot: int = -1
    exposed: bool = False
    condition_errors: tuple[str, ...] = ()
    """Conditions that failed at run time and so did not match; counted by the worker."""
    condition: str = ""
    unit_kind: str = ""
    session: str = ""
    scores: tuple[Scored, ...] = ()
    shadow: Shadowing | None = None
    learned: LearnedChoice | None = None


class Undecided(Value, frozen=True):
    """No plan. `reason` is UPPER_SNAKE: NO_ROUTE, UNKNOWN_MODEL or NO_PROVIDER; `message` is what the caller sees."""

    reason: str
    message: str
    reasons: tuple[str, ...] = ()
    skipped: tuple[Skipped, ...] = ()
