"""Speech for the segments of one answer, through the attempt engine: each is a request of its own, with a record."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

from services.core.attempts.effects import Kind
from services.core.errors import RouterError
from services.core.policy.provider_types import INWORLD_TTS
from services.core.routing.context import RequestContext
from services.core.routing.plan import Candidate, Plan
from services.core.values import changed
from services.dataplane.dialects.operations import SPEECH
from services.dataplane.members import raw
from services.dataplane.operations.call import JsonPayload, OperationCall
from services.dataplane.operations.registry import translate
from services.dataplane.operations.speech import own_voice
from services.dataplane.records import RecordLog
from services.dataplane.runner import Runner
from services.dataplane.trail import Trail, new_generation_id
from services.dataplane.translation import Emitted, Evidence, Translation, Untranslatable
from services.dataplane.voice.choice import raw_rate
from services.dataplane.voice.wish import FORMATS, Wish
from services.runtime.clock import Clock
from services.runtime.trace_context import Sampler, begin_span

MAX_PIECE = 32 * 1024
"""Bytes of sound in one piece, so that text can come between."""
_LEAST_TIME = 0.001
"""Seconds; what an attempt gets for which there is no time left, so that it fails as one that was too late."""
_FRAME = 2
"""Bytes of a sample."""
_STANDARD = frozenset({"speed", "instructions"})
"""Wishes that OpenAI's own speech takes."""
_TOLD_RATE = re.compile(r"rate=(\d{4,6})\b")


@dataclass(frozen=True, slots=True)
class Means:
    """What a worker speaks with."""

    runner: Runner
    records: RecordLog
    clock: Clock
    sampler: Sampler


@dataclass(slots=True)
class Spoken:
    """What was spoken so far.

    Attributes:
        sample_rate: Samples per second of raw sound; 0: not known by now.
        first_at: Monotonic instant of the first sound; 0.0: none came.
        cost_usd: US dollars of what has a price; None: nothing has.
        unpriced: Something was spoken whose price is not known.
    """

    model: str = ""
    provider: str = ""
    voice: str = ""
    sample_rate: int = 0
    first_at: float = 0.0
    characters: int = 0
    segments: int = 0
    attempts: int = 0
    cost_usd: float | None = None
    unpriced: bool = False
    warnings: list[str] = field(default_factory=list)


class Speaker:
    """Speaks for one answer: all of it at the target that spoke first, as long as that goes well, and at one rate.

    Args:
        plan: Of the speech.
        voices: By model id.
        parent: Trail of the chat request.
        deadline: Seconds that its caller will wait; None: no bound of its own.
    """

    def __init__(
        self,
        means: Means,
        plan: Plan,
        wish: Wish,
        voices: Mapping[str, str],
        parent: Trail,
        deadline: float | None = None,
    ) -> None:
        self._deadline = deadline
        self.spoken = Spoken()
        self._means = means
        self._plan = plan
        self._wish = wish
        self._voices = voices
        self._parent = parent

    async def say(self, text: str) -> AsyncGenerator[bytes, None]:
        """The sound of a text, as it comes; raw sound in whole samples.

        Raises:
            RouterError: It cannot be had, or broke: what came of it is not all.
        """
        means, plan = self._means, self._plan
        trail = self._begun(plan)
        request = _SegmentRequest(text, self._wish, self._voices, trail.requested_model)
        rest = b""
        try:
            async with aclosing(means.runner.stream(request, self._in_time(plan, trail), trail)) as pieces:
                async for piece in pieces:
                    if not trail.status:
                        trail.status = 200
                        self._settle(trail)
                    sound = rest + piece
                    stop = len(sound) - len(sound) % _FRAME if self._wish.is_raw else len(sound)
                    rest = sound[stop:]
                    for part in _parts(sound[:stop]):
                        yield part
        except RouterError as error:
            trail.error_reason = error.reason
            trail.status = trail.status or error.status
            raise
        except (asyncio.CancelledError, GeneratorExit):
            trail.outcome = "cancelled"
            raise
        finally:
            self._end(trail)

    def _begun(self, plan: Plan) -> Trail:
        parent, clock = self._parent, self._means.clock
        high, low = clock.seed(), clock.seed()
        trace = parent.trace
        return Trail(
            generation_id=new_generation_id(high, low),
            trace=begin_span(trace.traceparent, trace.tracestate, clock.seed, self._means.sampler),
            api=SPEECH.api,
            started=clock.monotonic(),
            started_wall=clock.wall(),
            stream=True,
            seed=plan.seed,
            plan=plan,
            parent_generation_id=parent.generation_id,
            requested_model=self._wish.models[0] if self._wish.models else plan.candidates[0].target.model,
            fault=parent.fault,
            user_hash=parent.user_hash,
            api_key_name=parent.api_key_name,
            policy_version=parent.policy_version,
            policy_revision=parent.policy_revision,
            app_title=parent.app_title,
            referer=parent.referer,
            user_agent=parent.user_agent,
            warnings=list(plan.warnings),
        )

    def _in_time(self, plan: Plan, trail: Trail) -> Plan:
        """The plan with what is left of the time that the whole answer has."""
        gone = trail.started - self._parent.started
        deadline = plan.retry.deadline if self._deadline is None else max(_LEAST_TIME, self._deadline - gone)
        return changed(plan, retry=replace(plan.retry, deadline=min(plan.retry.deadline, deadline)))

    def _settle(self, trail: Trail) -> None:
        """Learn from the first sound of a segment who speaks, and at which rate."""
        candidate = next(a.candidate for a in reversed(trail.attempts) if a.phase == "committed")
        spoken, target = self.spoken, candidate.target
        spoken.model, spoken.provider = target.model, target.provider.name
        spoken.voice = own_voice(target.provider, self._voices[target.model])
        if self._wish.is_raw and not spoken.sample_rate:
            told = _TOLD_RATE.search(trail.frames_type)
            spoken.sample_rate = int(told[1]) if told else raw_rate(candidate, self._wish)
        rate = raw_rate(candidate, self._wish)
        others = (
            c
            for c in self._plan.candidates
            if c is not candidate and (not self._wish.is_raw or raw_rate(c, self._wish) == rate)
        )
        if self._plan.candidates[0] is not candidate or self._wish.is_raw:
            self._plan = changed(self._plan, candidates=(candidate, *others))

    def _end(self, trail: Trail) -> None:
        spoken = self.spoken
        trail.ended = self._means.clock.monotonic()
        trail.outcome = trail.outcome or "failed"
        if trail.outcome == "cancelled" and not trail.status:
            trail.status = 499
        self._means.records.append(trail)
        spoken.attempts += len(trail.attempts)
        spoken.warnings += [told for told in trail.warnings if told not in spoken.warnings]
        if trail.usage is not None:
            spoken.characters += trail.usage.characters
            if trail.cost_usd is None:
                spoken.unpriced = True
            else:
                spoken.cost_usd = (spoken.cost_usd or 0.0) + trail.cost_usd


class _SegmentRequest:
    """One segment, as the attempt engine sees a request."""

    stream = True
    restartable = False
    frames_type = "application/octet-stream"

    def __init__(self, text: str, wish: Wish, voices: Mapping[str, str], model: str) -> None:
        self.context = RequestContext(model=model)
        self._text = text
        self._wish = wish
        self._voices = voices

    def condition_messages(self) -> tuple[Mapping[str, Any], ...]:
        return ()

    def translate(self, candidate: Candidate) -> Translation:
        wish, target = self._wish, candidate.target
        told: dict[str, Any] = {
            "model": target.model,
            "input": self._text,
            "voice": self._voices[target.model],
            "response_format": FORMATS[wish.format],
        }
        warnings = list(wish.warnings)
        inworld = target.provider.protocol == INWORLD_TTS
        for name, value in wish.more.items():
            if inworld or name in _STANDARD:
                told[name] = value
            else:
                warnings.append(f"audio.{name} was dropped: {target.provider.name} does not take it")
        if wish.is_raw and inworld:
            told["sample_rate"] = raw_rate(candidate, wish)
        elif wish.sample_rate is not None and wish.sample_rate != raw_rate(candidate, wish):
            warnings.append(f"audio.sample_rate was dropped: {target.provider.name} does not take it")
        payload = JsonPayload({name: raw(value) for name, value in told.items()})
        return translate(OperationCall(SPEECH, payload, {}, True, tuple(warnings)), candidate)

    def mendable(self) -> bool:
        return False

    def mend(self, candidate: Candidate, kind: Kind, emitted: Emitted) -> Translation:
        raise Untranslatable.because("broken speech cannot be mended")

    def restart_frame(self, evidence: Evidence) -> bytes:
        raise AssertionError("speech is never restarted")


def _parts(sound: bytes) -> Iterator[bytes]:
    return (sound[at : at + MAX_PIECE] for at in range(0, len(sound), MAX_PIECE))
