"""What follows when an answer breaks after its first content has reached the caller.

By policy: another target goes on from the text so far (`continue`), or answers anew and what
the caller has is swallowed while it is equal (`verified_resume`), or the caller, if it asked
for that, is told to start over (`restart`); `seamless` takes the first of these that can be
had. What cannot be mended ends in a truthful error: two answers are never glued together.

Rules
1. Choices that were not tried come first, best way first; then, as a retry, the one that answered,
   and the one tried last.
2. A target that refuses a way of mending (it takes no prefill; its answer says something else) is
   not asked for that way again, but may be for another.
3. A refusal of the content ends it: no other target is to be asked for what one has refused.
"""

from __future__ import annotations

from services.core.attempts.effects import Finish, Kind, Outcome
from services.core.attempts.events import AttemptFailed
from services.core.attempts.moves import Chain, Flight, Phase, Step, begin, end, heard
from services.core.attempts.narrow import unhelpful
from services.core.attempts.verdicts import Harm, Verdict, disposition
from services.core.errors import Clock, FailureKind
from services.core.values import changed

_WAYS: dict[str, tuple[Kind, ...]] = {
    "honest_error": (),
    "continue": (Kind.CONTINUE,),
    "verified_resume": (Kind.RESUME,),
    "restart": (Kind.RESTART,),
    "seamless": (Kind.CONTINUE, Kind.RESUME, Kind.RESTART),
}
_NEVER = (FailureKind.CREDENTIAL_MISSING, FailureKind.MODEL_MISSING)
"""Failures of a target that no other way of mending would change."""


def broken(chain: Chain, flight: Flight, event: AttemptFailed, now: float) -> Step:
    """An attempt failed after the commit: the one that answered, or one that was to mend its answer."""
    failure = event.failure
    verdict, harm = disposition(failure).verdict, disposition(failure).harm
    stops = failure.kind is FailureKind.CONTENT_REFUSED
    if chain.phase is Phase.COMMITTED:
        chain = changed(chain, broken=failure, remains=event.remains)
        stops = verdict is Verdict.STOP
    if stops or failure.clock is Clock.DEADLINE:
        return _end(chain)
    chain = heard(chain, flight.choice, failure, now)
    chain = changed(chain, used=chain.used | unhelpful(chain.choices, flight.choice, failure))
    if harm not in {Harm.TARGET, Harm.PUSHBACK}:
        chain = _barred(chain, flight, any_way=harm is Harm.CREDENTIAL or failure.kind in _NEVER)
    return mend(chain, now)


def _barred(chain: Chain, flight: Flight, *, any_way: bool) -> Chain:
    """The chain after a choice could not mend for a reason that a retry does not change."""
    if any_way:
        ways = _WAYS["seamless"]
        return changed(chain, barred=chain.barred | {(kind, flight.choice) for kind in ways})
    candidate = chain.choices[flight.choice].candidate
    same = {i for i, choice in enumerate(chain.choices) if choice.candidate == candidate}
    barred = chain.barred | {(flight.kind, i) for i in same}
    used = chain.used - {flight.choice} if flight.kind in _WAYS["seamless"] else chain.used
    return changed(chain, barred=barred, used=used)


def mend(chain: Chain, now: float) -> Step:
    """Begin the next attempt that may mend a broken answer; when there is none, end with what broke it."""
    retry = chain.plan.retry
    if chain.attempts >= retry.max_attempts or now >= chain.deadline:
        return _end(chain)
    for kind in _ways(chain):
        for index in range(len(chain.choices)):
            if index not in chain.used and _may(chain, kind, index, now):
                return begin(chain, index, kind, now)
    if chain.retries < retry.max_retries:
        for kind in _ways(chain):
            for index in (chain.answered, chain.at):
                if _may(chain, kind, index, now):
                    return begin(changed(chain, retries=chain.retries + 1), index, kind, now)
    return _end(chain)


def _end(chain: Chain) -> Step:
    return end(chain, Finish(Outcome.BROKEN, chain.broken, chain.attempts))


def _ways(chain: Chain) -> tuple[Kind, ...]:
    """How the present answer may be mended, best first."""
    ways = _WAYS[chain.plan.recovery.value]
    allowed = {Kind.CONTINUE: chain.remains.text_only, Kind.RESUME: chain.remains.text_only}
    return tuple(kind for kind in ways if allowed.get(kind, chain.remains.restartable))


def _may(chain: Chain, kind: Kind, index: int, now: float) -> bool:
    """Whether a choice may mend in that way now."""
    choice = chain.choices[index]
    if choice.until > now or (kind, index) in chain.barred:
        return False
    target = chain.plan.candidates[choice.candidate].target
    return kind is not Kind.CONTINUE or target.capabilities.prefill is True
