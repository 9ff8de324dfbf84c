"""The port between the runner and the protocols: how one attempt speaks, and what its answer means.

The runner knows no JSON. For every attempt it asks the inbound dialect for a
`Translation` towards the target, sends what `request` says, and gives the
answer back to it. A translation pairs one inbound dialect with one provider
codec (`dialects/` × `providers/`); where both speak the same protocol, bytes
pass through and only `model`, routing fields and evidence are touched.

Lifecycle: a `Translation` belongs to one attempt and is not shared. For
streams: `feed` for every read, then `end` once the upstream closed. After the
attempt succeeded, `closing` renders the last frames, which carry the evidence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from services.core.attempts.effects import Kind
from services.core.errors import Failure, FailureKind, RouterError
from services.core.policy.snapshot import Snapshot
from services.core.pricing import TokenUsage as TokenUsage  # noqa: PLC0414 - a part of this port, from the core
from services.core.routing.context import RequestContext
from services.core.routing.plan import Candidate, Plan, Undecided
from services.core.values import MutableValue, Value, field
from services.dataplane.json_text import JsonText
from services.dataplane.transport.port import UpstreamRequest

MODEL_HEADER = "x-turnout-model"
STREAM_HEADER = "x-turnout-stream"
"""What a request says outside its body: in the address, or in the gRPC method. Never a caller's own header."""

JSON = "application/json"
EVENT_STREAM = "text/event-stream; charset=utf-8"

CALLERS_FAULT = frozenset(
    {
        FailureKind.INVALID_REQUEST,
        FailureKind.CONTEXT_TOO_LONG,
        FailureKind.CONTENT_REFUSED,
        FailureKind.REQUEST_TOO_LARGE,
        FailureKind.VOICE_MISSING,
    }
)
"""Failures that the caller can act on, and so is told of in the provider's words."""


class Evidence(Value, frozen=True):
    """What the caller is shown of a finished request.

    Attributes:
        metadata: The `metadata` object of the answer, ready for JSON.
        cost_usd: Cost in US dollars; None: not known.
        model: Model that answered, "provider/model".
        generation_id: Id of the request.
        provider: Name of the provider that answered; empty: none did.
        requested: `model` as the caller wrote it.
        plan: The decision; None: there was none.
    """

    metadata: Mapping[str, Any]
    cost_usd: float | None
    model: str
    generation_id: str
    provider: str = ""
    requested: str = ""
    plan: Plan | None = None


CHARS_PER_TOKEN = 4
"""About; used where nobody counted."""


def tokens_of(chars: int) -> int:
    """About how many tokens `chars` characters are; at least 1 for any."""
    return (chars + CHARS_PER_TOKEN - 1) // CHARS_PER_TOKEN


_REQUEST_IDS = ("x-amzn-requestid", "x-request-id", "request-id")
_LONGEST_ID = 200


class Facts(MutableValue):
    """What a translation has learned of the answer so far.

    Attributes:
        chars: Characters of content seen: text, reasoning and arguments.
        texts: The text seen, in pieces; kept only when the candidate says so.
        json: The text of answers that are to be JSON; None: nobody asked for that.
        plain: Nothing but plain text was seen, so that the answer can be continued or repeated.
        created: The answer's own time stamp, seconds since the Unix epoch; 0: it has none.
        headers: Headers of the provider's answer, by lower-case name; empty until they have come.
        frames_type: Content type of the stream's frames, known by the first content; empty: the request's own.
    """

    usage: TokenUsage | None = None
    finish_reason: str = ""
    native_finish_reason: str = ""
    """In the provider's own words; empty: those of `finish_reason` are."""
    response_id: str = ""
    warnings: list[str] = field(default_factory=list)
    chars: int = 0
    texts: list[str] = field(default_factory=list)
    json: JsonText | None = None
    plain: bool = True
    created: int = 0
    block: int = 0
    block_open: bool = True
    headers: Mapping[str, str] = field(default_factory=dict)
    frames_type: str = ""
    seam: Any = None
    """Where the caller's stream stands, in the words of its dialect, whose own it is; None: it needs none."""

    @property
    def request_id(self) -> str:
        """By which the provider knows the request, as a header of its answer says; empty: none does."""
        return next((self.headers[name] for name in _REQUEST_IDS if name in self.headers), "")[:_LONGEST_ID]

    def note(self, text: str, progress: Progress, *, keep: bool, of: int = 0) -> None:
        """Note text that `progress` brought, `of` which of several answers."""
        self.chars += len(text)
        progress.tokens += tokens_of(len(text))
        if self.json is not None:
            self.json.add(text, of)
        if keep:
            self.texts.append(text)
            progress.text += text

    def note_other(self, chars: int, progress: Progress) -> None:
        """Note content that is no plain text: reasoning, a tool call, media."""
        self.plain = False
        self.chars += chars
        progress.tokens += max(1, tokens_of(chars))


@dataclass(frozen=True, slots=True)
class Emitted:
    """What the caller has of an answer that broke, and what its frames looked like.

    Attributes:
        text: The text, whole.
        plain: The caller has nothing but that text.
        response_id: Id that the answer's frames carry.
        created: Time stamp that they carry; 0: none.
    """

    text: str
    plain: bool
    response_id: str
    created: int = 0
    block: int = 0
    """Index of the content block that the text is in, and whether it is still open (Anthropic's streams)."""
    block_open: bool = True
    seam: Any = None
    """As in `Facts`."""


class Progress(MutableValue):
    """What one `feed` brought.

    Attributes:
        text: The text in it, when the candidate says that texts are kept.
        tokens: About how many tokens of content it holds.
        reasoning: Its content is reasoning and nothing else.
        frames: Whole frames for the caller, in order; may be empty. Before the first content they
            are lifecycle frames, which the runner holds back until the commit.
        event: True: at least one whole event was decoded (any kind but comments and pings).
        content: True: some frame carries content, a tool call or reasoning.
        done: True: the terminal event was seen; feed no more.
        failure: The stream failed inside the protocol (error event, garbage); frames before it stand.
        finished: The finish reason came, and the protocol lets the terminal event be missing: `end` may follow.
    """

    frames: bytes = b""
    event: bool = False
    content: bool = False
    done: bool = False
    failure: Failure | None = None
    text: str = ""
    tokens: int = 0
    reasoning: bool = False
    finished: bool = False


class Translation(Protocol):
    """One attempt's way from the caller's dialect to a provider's protocol and back."""

    facts: Facts

    stream_type: str
    """A part of the content type that the provider's stream must have; empty: any."""

    answer_type: str
    """Content type of what `render` gives; read after it."""

    def request(self, credential: str) -> UpstreamRequest | None:
        """What to send; `credential` is the secret itself, "" when the provider needs none.

        None: there is nothing to ask a provider, `render` may be called at once. Whole answers only.

        Raises:
            Untranslatable: This provider cannot take this request.
        """

    def failure(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        """Classify an answer whose status is not a success."""

    def answer(self, body: bytes) -> Failure | None:
        """Read a whole answer with a success status; None: it is good and `render` may be called."""

    def render(self, evidence: Evidence) -> bytes:
        """The answer's body in the caller's dialect, with its evidence."""

    def feed(self, data: bytes) -> Progress:
        """Read a piece of a streamed answer, cut anywhere."""

    def end(self) -> Progress:
        """The upstream closed cleanly; without a terminal event the progress holds STREAM_TRUNCATED."""

    def closing(self, evidence: Evidence) -> bytes:
        """The last frames of a stream that succeeded: finish, usage, evidence, terminal event."""

    def broken(self, error: RouterError, evidence: Evidence) -> bytes | None:
        """The in-band error that ends a stream which broke after its commit. Never a terminal event.

        None: the stream's form has no place for an error, so the caller's connection has to break.
        """


class Untranslatable(Exception):
    """The provider cannot take this request; the attempt fails as `failure` without being sent."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure

    @classmethod
    def because(cls, told: str) -> Untranslatable:
        """`told` says what has no translation; another provider may take it, so the next target is tried."""
        return cls(Failure(FailureKind.UNSUPPORTED, told))


class InboundRequest(Protocol):
    """A caller's request, read by its dialect."""

    context: RequestContext
    """Facts for the decision; `messages` is empty, see `condition_messages`."""

    stream: bool
    """The caller asked for a stream."""

    frames_type: str
    """Content type of the stream that the caller gets."""

    restartable: bool
    """The caller understands a restart: its header x-turnout-restart is "allow"."""

    def condition_messages(self) -> tuple[Mapping[str, Any], ...]:
        """The messages as conditions see them; called only if a condition reads them."""

    def translate(self, candidate: Candidate) -> Translation:
        """A fresh translation towards `candidate`.

        Raises:
            InvalidRequest: A field that this translation has to understand is malformed.
            Untranslatable: The candidate's provider cannot take this request.
        """

    def mendable(self) -> bool:
        """Whether a broken answer may be continued or resumed: not with a tool call that is forced, JSON, several answers, log probs.

        Raises:
            InvalidRequest, Untranslatable: The request has no reading, though its provider took it.
        """

    def mend(self, candidate: Candidate, kind: Kind, emitted: Emitted) -> Translation:
        """A translation that goes on (`CONTINUE`) or answers anew behind what the caller has (`RESUME`).

        Its frames carry on the broken answer: the same id, no second start. A first content is reported
        when there is something that the caller does not have; another answer fails as DIVERGED.
        """

    def restart_frame(self, evidence: Evidence) -> bytes:
        """The frame that tells a caller who asked for it to forget what it has: a new answer follows."""


class Dialect(Protocol):
    """An inbound API: reads requests and writes errors in the caller's words."""

    api: str
    """Name in records, such as "chat.completions"."""

    def read(self, body: bytes, headers: Mapping[str, str]) -> InboundRequest:
        """Read a request.

        Raises:
            InvalidRequest: With the field in `param`.
        """

    def error(self, error: RouterError, evidence: Evidence | None) -> tuple[int, bytes]:
        """HTTP status and body of an error in this dialect."""


class TalkingDialect:
    """A dialect whose streams are kept alive by comments while nothing else can be sent.

    The first comment commits the stream to status 200; an error after it is a frame.
    """

    comment: bytes = b""
    """A whole frame that holds nothing."""

    def error_frame(self, error: RouterError, evidence: Evidence) -> bytes:
        """The frame that ends such a stream with an error, before any content of an answer."""
        raise NotImplementedError


class AnsweringDialect:
    """A dialect in which a prompt that was refused has an answer, with status 200, where others have an error."""

    def refused_answer(self, error: RouterError, evidence: Evidence, *, stream: bool) -> bytes | None:
        """The body of that answer, or its one frame; None: the error is of another kind."""
        raise NotImplementedError


class PlanningRequest:
    """A request that names no model, and knows itself whom to ask."""

    def plan(self, snapshot: Snapshot, context: RequestContext, seed: int) -> Plan | Undecided:
        """Its plan; equal arguments give an equal plan."""
        raise NotImplementedError


class NamingRequest:
    """A request whose API has names of models of its own."""

    def named(self, snapshot: Snapshot, context: RequestContext) -> RequestContext:
        """`context` with the names that this policy has for its models."""
        raise NotImplementedError


class LeaningRequest:
    """A request that may lean on state which one provider keeps."""

    def keep_to(self, plan: Plan) -> None:
        """Learn from the plan whose state that is; called once, before the first attempt."""
        raise NotImplementedError
