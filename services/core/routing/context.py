"""The facts of a request that a decision may use. Never the prompt, unless a condition reads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.core.policy.preferences import NO_PREFERENCES, Preferences
from services.core.routing.learned.clusters import NO_KINDS, Weights
from services.core.values import Value


class RequestContext(Value, frozen=True):
    """What `decide` knows of a request.

    Attributes:
        model: `model` as the caller wrote it; empty when only `models` was given.
        models: Fallback models after `model`, in order.
        preferences: Preferences among the targets that serve the models.
        parameters: Names of the request's parameters; filled only if `preferences.require_parameters`.
        metadata: What conditions read, by key.
        messages: The messages as plain values, contents flattened to text; empty unless
            `CompiledRouter.reads_messages`.
        user: Sticky unit; empty: each request draws anew.
        session: The conversation that it belongs to; empty: not said.
        needs: Capabilities that the request uses, by their names in `Capabilities`: "tools", "vision" and so on.
        asks_json: The answer is to be JSON, by a schema or without one.
        least_tokens: Tokens that the prompt has at least; 0: few, or not known.
        cached: Share of the prompt that a model's cache holds of the session, above 0 to 1, by model (`prompt_cache.py`).
        clocks: Clocks of this request by name, in seconds, above all other levels.
        default_clocks: Clocks that the called API brings along, in seconds, for those that nobody set.
        deadline: Seconds that the caller will wait; None: no bound of its own.
        slot: The unit's slot in an earlier decision of the same route, for replays of it; -1: it is worked out.
        phi: Kinds of requests that it belongs to, filled only if `CompiledRouter.learns`; empty: not known.
        kinds: Version of those kinds.
        warnings: Routing fields that were understood and cannot be acted on, one sentence each.
        caller_trace: What the caller calls the request in its own traces; no decision reads it.
    """

    model: str
    models: tuple[str, ...] = ()
    preferences: Preferences = NO_PREFERENCES
    parameters: frozenset[str] = frozenset()
    metadata: Mapping[str, Any] = {}
    messages: tuple[Mapping[str, Any], ...] = ()
    user: str = ""
    session: str = ""
    needs: frozenset[str] = frozenset()
    asks_json: bool = False
    least_tokens: int = 0
    cached: Mapping[str, float] = {}
    clocks: Mapping[str, float] = {}
    default_clocks: Mapping[str, float] = {}
    deadline: float | None = None
    slot: int = -1
    phi: Weights = NO_KINDS
    kinds: str = ""
    warnings: tuple[str, ...] = ()
    caller_trace: Mapping[str, str] = {}
