"""What follows when an answer breaks after its first content has reached the caller.

By policy: another target goes on from the text so far (`continue`), or answers anew and what
the caller has is swallowed while it is equal (`verified_resume`), or the caller, if it asked
for that, is told to start over (`restart`); `seamless` takes the first of these that can be
had. What cannot be mended ends in a truthful error: two answers are never glued together.
"""

from __future__ import annotations

from dataclasses import replace

from services.core.attempts.effects import Finish, Kind, Outcome
from services.core.attempts.events import AttemptFailed
from services.core.attempts.moves import Chain, Phase, Step, begin, end
from services.core.errors import Clock

_WAYS: dict[str, tuple[Kind, ...]] = {
    "honest_error": (),
    "continue": (Kind.CONTINUE,),
    "verified_resume": (Kind.RESUME,),
    "restart": (Kind.RESTART,),
    "seamless": (Kind.CONTINUE, Kind.RESUME, Kind.RESTART),
}


def broken(chain: Chain, event: AttemptFailed, now: float) -> Step:
    """An attempt failed after the commit: the one that answered, or one that was to mend its answer."""
    if chain.phase is Phase.COMMITTED:
        chain = replace(chain, broken=event.failure, remains=event.remains)
    if event.failure.clock is Clock.DEADLINE:
        return end(chain, Finish(Outcome.BROKEN, chain.broken, chain.attempts))
    return mend(chain, now)


def mend(chain: Chain, now: float) -> Step:
    """Begin the next attempt that may mend a broken answer; when there is none, end with what broke it."""
    if chain.attempts < chain.plan.retry.max_attempts and now < chain.deadline:
        for kind in _ways(chain):
            index = _mender(chain, kind, now)
            if index is not None:
                retries = chain.retries + 1 if index in chain.used else chain.retries
                asked = chain.mended | {(index, kind)}
                return begin(replace(chain, retries=retries, mended=asked), index, kind, now)
    return end(replace(chain, flights=()), Finish(Outcome.BROKEN, chain.broken, chain.attempts))


def _ways(chain: Chain) -> tuple[Kind, ...]:
    """How the present answer may be mended, best first."""
    ways = _WAYS[chain.plan.recovery.value]
    allowed = {Kind.CONTINUE: chain.remains.text_only, Kind.RESUME: chain.remains.text_only}
    return tuple(kind for kind in ways if allowed.get(kind, chain.remains.restartable))


def _mender(chain: Chain, kind: Kind, now: float) -> int | None:
    """A choice for mending: one that was not tried, else the last one once more, if in another way."""
    able = [i for i in range(len(chain.choices)) if kind is not Kind.CONTINUE or _prefills(chain, i)]
    for index in able:
        if index not in chain.used and chain.choices[index].until <= now:
            return index
    again = chain.retries < chain.plan.retry.max_retries and (chain.at, kind) not in chain.mended
    return chain.at if again and chain.at in able and not chain.choices[chain.at].asked else None


def _prefills(chain: Chain, index: int) -> bool:
    return chain.plan.candidates[chain.choices[index].candidate].target.capabilities.prefill is True
