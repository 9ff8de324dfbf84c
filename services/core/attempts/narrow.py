"""What one failure says about the other ways to try a plan."""

from __future__ import annotations

from services.core.attempts.choices import Choice
from services.core.attempts.verdicts import (
    Verdict,
    disposition,
    other_address_may_help,
    other_credential_may_help,
)
from services.core.errors import Failure


def unhelpful(choices: tuple[Choice, ...], tried: int, failure: Failure) -> set[int]:
    """The `choices` that cannot do better after `failure` of the one that was `tried`, that one among them.

    They are of the same model, or, for a request that was too long, have a window that is no larger.
    """
    present, found = choices[tried], set()
    larger = disposition(failure).verdict is Verdict.LARGER
    for index, choice in enumerate(choices):
        if choice.candidate == present.candidate:
            moved = choice.address != present.address and other_address_may_help(failure)
            changed = choice.credential_cell != present.credential_cell and other_credential_may_help(failure)
            if not moved and not changed:
                found.add(index)
        # An unknown window (0) may be larger; one that is known to be no larger is not tried.
        elif larger and choice.window and present.window and choice.window <= present.window:
            found.add(index)
    return found
