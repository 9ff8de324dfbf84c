"""A decision by what was learned, with what came of it: what is logged, and what is learned from."""

from __future__ import annotations

from services.core.routing.learned.clusters import Weights
from services.core.routing.learned.table import EVERYBODY
from services.core.values import Value


class Decision(Value, frozen=True):
    """One request.

    Attributes:
        at: When it was decided, seconds since the Unix epoch.
        phi: Kinds of requests that it belongs to, of one version of the kinds.
        models: Every model that could be chosen, best first; none twice.
        propensities: Probability of each of them, above 0 for the chosen one; they sum to 1.
        expected: Reward that was expected of each of them.
        chosen: The one that was chosen.
        session: Whose draw it was, hashed; decisions of one are not independent. Empty: the request's own.
        served: The one that answered; another one after a failover, empty: none did.
        reward: From 0 to 1; None: not known, or not yet. It is the chosen model's, also when another one served.
        cost: US dollars of what `served` made; None: not known.
        seconds: To the first content; None: there was none.
    """

    at: float
    phi: Weights
    models: tuple[str, ...]
    propensities: tuple[float, ...]
    expected: tuple[float, ...]
    chosen: str
    served: str
    segment: str = EVERYBODY
    session: str = ""
    reward: float | None = None
    cost: float | None = None
    seconds: float | None = None
