"""Which models hold a session's prompt in their caches: this worker's memory of the last answers.

It is bounded and never shared or kept: without it a session only pays a full price once.
"""

from __future__ import annotations

from services.core.routing.context import RequestContext
from services.core.routing.prompt_cache import Held, cached_shares, held_after
from services.core.values import changed
from services.dataplane.trail import AttemptTrail, Trail

SESSIONS = 10_000
"""Sessions that are remembered; of more, those that were asked for least lately are forgotten."""
MODELS = 4
"""Models of a session that are remembered, the latest."""


class PromptCaches:
    """The memory. A session is that of one caller: what another one calls by the same name is another session."""

    def __init__(self) -> None:
        # By a hash, so that no name of a caller's is kept, however long it is. The oldest come first.
        self._sessions: dict[int, dict[str, Held]] = {}

    def __len__(self) -> int:
        """Sessions that are remembered."""
        return len(self._sessions)

    def known(self, context: RequestContext, caller: str, now: float) -> RequestContext:
        """The facts of a request, with what is cached of its session.

        Args:
            caller: Name of the API key.
            now: Monotonic seconds.
        """
        if not context.session or not self._sessions:
            return context
        held = self._sessions.get(hash((caller, context.session)))
        if held is None:
            return context
        return changed(context, cached=cached_shares(held, context.least_tokens, now))

    def sink(self, trail: Trail) -> None:
        """Note who served a session; a shadow, or what was never answered, says nothing."""
        plan = trail.plan
        if plan is None or not plan.session or trail.shadow_of:
            return
        served = next((a for a in reversed(trail.attempts) if a.success), None)
        if served is None or served.usage is None or served.usage.estimated:
            return
        self._note(hash((trail.api_key_name, plan.session)), served)

    def _note(self, session: int, served: AttemptTrail) -> None:
        target = served.candidate.target
        models = self._sessions.pop(session, {})
        before = models.pop(target.model, None)
        assert served.usage is not None, "only answers with usage are noted"
        found = held_after(served.usage, target.prices, before, served.started)
        if found is not None:
            models[target.model] = found
        while len(models) > MODELS:
            del models[next(iter(models))]
        if models:
            self._sessions[session] = models
        while len(self._sessions) > SESSIONS:
            del self._sessions[next(iter(self._sessions))]
