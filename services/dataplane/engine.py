"""The engine: one request from bytes in the caller's dialect to bytes in the caller's dialect.

read (dialect) → authenticate → decide (core) → run (runner ⇄ core) → render (dialect),
with one trail that is finished exactly once, however the request ends. The
request pins the snapshot it starts with.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Callable, Mapping
from functools import partial

from services.core.errors import NoProvider, NoRoute, RouterError, UnknownModel
from services.core.policy.snapshot import Snapshot
from services.core.routing.context import RequestContext
from services.core.routing.decide import decide, router_named
from services.core.routing.learned.clusters import ONE_KIND, Kinds
from services.core.routing.plan import Plan, Undecided
from services.core.values import MutableValue, Value, changed
from services.dataplane.auth import INFERENCE, authenticate
from services.dataplane.decision import asks_explanation
from services.dataplane.keepalive import kept_alive
from services.dataplane.kept_facts import kept_facts
from services.dataplane.learned_tables import TableHolder
from services.dataplane.policy_holder import PolicyHolder
from services.dataplane.prompt_caches import PromptCaches
from services.dataplane.records import RecordLog
from services.dataplane.rehearsal import FAULT_HEADER
from services.dataplane.runner import Runner
from services.dataplane.trail import Trail, evidence_headers, evidence_of, new_generation_id
from services.dataplane.translation import (
    EVENT_STREAM,
    JSON,
    AnsweringDialect,
    Dialect,
    InboundRequest,
    LeaningRequest,
    NamingRequest,
    PlanningRequest,
    TalkingDialect,
)
from services.dataplane.voice.chat import Voiced, VoicedAnswer, speaks_itself, voiced
from services.dataplane.voice.speaker import Means
from services.dataplane.voice.wish import Speakable
from services.runtime.clock import Clock
from services.runtime.trace_context import Sampler, begin_span
from services.wire.records import unit_hash
from services.wire.request_kinds import with_kinds
from services.wire.trace_facts import SESSION

MAX_TOLD = 256
"""Characters of a caller's header that a record keeps."""

_UNDECIDED: Mapping[str, type[RouterError]] = {kind.reason: kind for kind in (NoRoute, UnknownModel, NoProvider)}


class Call(Value, frozen=True):
    """A request as it reaches the worker. `headers` by lower-case name."""

    body: bytes
    headers: Mapping[str, str]
    traceparent: str = ""
    tracestate: str = ""
    timeout: float | None = None
    inbound_span: bool = False
    """True: nobody made a SERVER span for this request yet."""

    def __repr__(self) -> str:
        """Neither headers nor body: they hold keys and prompts."""
        return f"Call(traceparent={self.traceparent!r}, timeout={self.timeout!r})"


class Reply(MutableValue):
    """A part of an answer; `status` 0 on all but the first part."""

    status: int
    headers: dict[str, str]
    data: bytes
    error: RouterError | None = None
    """Why the request was not served; the data says the same in the caller's dialect."""


class Work(Value, frozen=True):
    """A request that was read and decided; `voice`: by what its answer is to be spoken, None: by nothing."""

    inbound: InboundRequest
    plan: Plan
    voice: Voiced | None


class Engine:
    """Serves requests. One per worker process."""

    def __init__(
        self,
        policy: PolicyHolder,
        runner: Runner,
        records: RecordLog,
        clock: Clock,
        sampler: Sampler,
        *,
        comments_after: float = 0.0,
        tables: TableHolder | None = None,
        caches: PromptCaches | None = None,
    ) -> None:
        """Make an engine.

        Args:
            comments_after: Seconds of silence after which streams of a `TalkingDialect` get a comment; 0.0: never.
            tables: What was learned; None: nothing ever is.
            caches: What sessions have in prompt caches; None: nothing is known of it.
        """
        self.comments_after = comments_after
        self.policy = policy
        self.tables = tables or TableHolder(ONE_KIND)
        self.caches = caches if caches is not None else PromptCaches()
        self.runner = runner
        self.records = records
        self.clock = clock
        self.sampler = sampler
        self.in_flight = 0
        self.on_answered: Callable[[InboundRequest, Trail], None] = lambda inbound, trail: None
        """Told of each request when its answer is complete; must return at once."""
        self._means = Means(runner, records, clock, sampler)

    async def whole(self, dialect: Dialect, call: Call) -> Reply:
        """Serve a request whole. Never raises but CancelledError: errors are replies in the dialect."""
        trail = self._begin(dialect, call, stream=False)
        try:
            work = self._prepare(dialect, call, trail)
            if work.inbound.stream:
                return await self._gathered(work, trail)
            return await self._answered(work, trail)
        except RouterError as error:
            return self._refused(dialect, error, trail)
        except asyncio.CancelledError:
            trail.outcome = "cancelled"
            raise
        finally:
            self._end(trail)

    async def stream(self, dialect: Dialect, call: Call) -> AsyncGenerator[Reply, None]:
        """Serve a request as a stream; a failure before the first content is one reply with its status.

        Raises:
            RouterError: The answer broke after its first part, and its form has no place for an error:
                whatever carries it has to break, too.
        """
        trail = self._begin(dialect, call, stream=True)
        try:
            work = self._prepare(dialect, call, trail)
            if not work.inbound.stream:
                yield await self._answered(work, trail)
                return
            frames = self._frames(work, trail)
            if isinstance(dialect, TalkingDialect) and self.comments_after > 0:
                frames = kept_alive(frames, dialect.comment, self.comments_after)
            try:
                async for piece in frames:
                    if trail.status:
                        yield Reply(0, {}, piece)
                    else:
                        trail.status = 200
                        yield Reply(200, self._headers(trail, trail.frames_type or work.inbound.frames_type), piece)
            finally:
                await frames.aclose()
            self.on_answered(work.inbound, trail)
        except RouterError as error:
            if not trail.status:
                yield self._refused(dialect, error, trail)
            elif isinstance(dialect, TalkingDialect):
                yield self._told_in_band(dialect, error, trail)
            else:
                # The answer has begun, and its form has no place for an error.
                raise
        except (asyncio.CancelledError, GeneratorExit):
            trail.outcome = trail.outcome or "cancelled"
            raise
        finally:
            self._end(trail)

    def refuse(self, dialect: Dialect, call: Call, error: RouterError, *, caller: str, stream: bool) -> Reply:
        """Refuse a request unread, with a record of it; `caller` is the name of its key."""
        trail = self._begin(dialect, call, stream=stream)
        trail.api_key_name = caller
        try:
            return self._refused(dialect, error, trail)
        finally:
            self._end(trail)

    async def _answered(self, work: Work, trail: Trail) -> Reply:
        """A whole answer."""
        translation = await self.runner.whole(work.inbound, work.plan, trail)
        if work.voice is not None:
            body = await VoicedAnswer(self._means, work.voice, trail).whole(translation)
        else:
            body = translation.render(evidence_of(trail, self.clock.monotonic()))
        trail.status = 200
        self.on_answered(work.inbound, trail)
        return Reply(200, self._headers(trail, translation.answer_type), body)

    def _frames(self, work: Work, trail: Trail) -> AsyncGenerator[bytes, None]:
        """The frames of a stream."""
        frames = self.runner.stream(work.inbound, work.plan, trail)
        return frames if work.voice is None else VoicedAnswer(self._means, work.voice, trail).stream(frames)

    async def _gathered(self, work: Work, trail: Trail) -> Reply:
        """A stream for a caller that reads whole answers: its frames in one body."""
        pieces = [piece async for piece in self._frames(work, trail)]
        trail.status = 200
        self.on_answered(work.inbound, trail)
        return Reply(200, self._headers(trail, trail.frames_type or work.inbound.frames_type), b"".join(pieces))

    def _begin(self, dialect: Dialect, call: Call, *, stream: bool) -> Trail:
        self.in_flight += 1
        clock = self.clock
        high, low = clock.seed(), clock.seed()
        return Trail(
            generation_id=new_generation_id(high, low),
            trace=begin_span(call.traceparent, call.tracestate, clock.seed, self.sampler),
            api=dialect.api,
            started=clock.monotonic(),
            started_wall=clock.wall(),
            stream=stream,
            seed=low,
            fault=call.headers.get(FAULT_HEADER, ""),
            explain=asks_explanation(call.headers),
            app_title=_told(call, "x-openrouter-title") or _told(call, "x-title"),
            referer=_told(call, "http-referer"),
            user_agent=_told(call, "user-agent"),
            inbound_span=call.inbound_span,
        )

    def _prepare(self, dialect: Dialect, call: Call, trail: Trail) -> Work:
        """Authenticate, read and decide.

        Raises:
            RouterError: The request cannot be served; in the order in which a caller would fix it.
        """
        snapshot = self.policy.required()
        trail.policy_version, trail.policy_revision = snapshot.version, snapshot.revision
        trail.api_key_name = caller = authenticate(snapshot, call.headers, INFERENCE).name
        inbound = dialect.read(call.body, call.headers)
        kinds = self.tables.kinds
        context = self.caches.known(_context(inbound, snapshot, call.timeout, kinds), caller, trail.started)
        trail.stream = inbound.stream
        trail.requested_model = inbound.context.model
        trail.caller_trace = _caller_trace(context, call)
        trail.facts = kept_facts(context, snapshot.kept_metadata)
        if context.user:
            trail.user_hash = unit_hash(context.user)
        view = self.runner.health.view(trail.started)
        tables = self.tables.current
        ask = partial(decide, snapshot, health=view, now=trail.started, seed=trail.seed, tables=tables)
        plan = inbound.plan(snapshot, context, trail.seed) if isinstance(inbound, PlanningRequest) else ask(context)
        spoken: Speakable | None = None
        if isinstance(inbound, Speakable) and not speaks_itself(inbound, plan):
            spoken, inbound = inbound, inbound.as_text()
            plan = ask(changed(_context(inbound, snapshot, call.timeout, kinds), cached=context.cached))
        if isinstance(plan, Undecided):
            raise _UNDECIDED[plan.reason](plan.message)
        voice: Voiced | None = None
        if spoken is not None:
            voice = voiced(spoken, plan, changed(context, messages=inbound.condition_messages()), snapshot, ask)
        trail.plan = plan
        if isinstance(inbound, LeaningRequest):
            inbound.keep_to(plan)
        if plan.exposed or plan.learned is not None:
            trail.prompt_hash = hash(call.body)
        trail.warnings.extend(plan.warnings)
        return Work(inbound, plan, voice)

    def _refused(self, dialect: Dialect, error: RouterError, trail: Trail) -> Reply:
        trail.error_reason = error.reason
        if not trail.outcome:
            trail.outcome = "refused" if trail.plan is None else "failed"
        evidence, kind = evidence_of(trail, self.clock.monotonic()), JSON
        answer = (
            dialect.refused_answer(error, evidence, stream=trail.stream)
            if isinstance(dialect, AnsweringDialect)
            else None
        )
        if answer is not None:
            status, body, kind = 200, answer, EVENT_STREAM if trail.stream else JSON
        else:
            status, body = dialect.error(error, evidence)
        trail.status = status
        headers = self._headers(trail, kind)
        if error.retry_after is not None:
            headers["retry-after"] = str(max(1, math.ceil(error.retry_after)))
        return Reply(status, headers, body, error)

    def _told_in_band(self, dialect: TalkingDialect, error: RouterError, trail: Trail) -> Reply:
        """An error behind a comment, which was sent with status 200: a frame, and not a reply with its own status."""
        trail.error_reason = error.reason
        trail.outcome = trail.outcome or "failed"
        return Reply(0, {}, dialect.error_frame(error, evidence_of(trail, self.clock.monotonic())), error)

    def _headers(self, trail: Trail, content_type: str) -> dict[str, str]:
        headers = {"content-type": content_type, "x-generation-id": trail.generation_id}
        headers["request-id"] = headers["x-request-id"] = trail.generation_id
        if not content_type.startswith((JSON, "text/event-stream")):
            headers.update(evidence_headers(trail))
        return headers

    def _end(self, trail: Trail) -> None:
        self.in_flight -= 1
        trail.ended = self.clock.monotonic()
        if not trail.outcome:
            trail.outcome = "failed"
        if trail.outcome == "cancelled" and not trail.status:
            trail.status = 499
        self.records.append(trail)


def _told(call: Call, header: str) -> str:
    """What a header says of the calling application, for the record."""
    return call.headers.get(header, "")[:MAX_TOLD]


def _caller_trace(context: RequestContext, call: Call) -> Mapping[str, str]:
    """What the caller calls the request in its own traces; a header may name the session as well."""
    session = _told(call, "x-session-id")
    return {SESSION: session, **context.caller_trace} if session else context.caller_trace


def _context(inbound: InboundRequest, snapshot: Snapshot, timeout: float | None, kinds: Kinds) -> RequestContext:
    """The request's facts; messages and kinds only if its router reads them."""
    context = inbound.context
    if isinstance(inbound, NamingRequest):
        context = inbound.named(snapshot, context)
    router = router_named(snapshot, context.model) if snapshot.reads_messages else None
    if router is not None and router.reads_messages:
        context = changed(context, messages=inbound.condition_messages())
    if router is not None and router.learns:
        context = with_kinds(context, context.messages or inbound.condition_messages(), kinds)
    if timeout is not None and (context.deadline is None or timeout < context.deadline):
        context = changed(context, deadline=timeout)
    return context
