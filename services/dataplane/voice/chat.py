"""Answers of chat that are spoken while they are written: text by the engine's one way, speech by the same one.

What is spoken is what the caller was shown, so hold-back and mending are over before a word is heard.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from services.core.policy.preferences import LabelDemand, Preferences
from services.core.policy.snapshot import Snapshot
from services.core.routing.context import RequestContext
from services.core.routing.plan import Candidate, Plan, Undecided
from services.core.values import changed
from services.dataplane.providers.registry import codec_for
from services.dataplane.sse import SseEvent, frame
from services.dataplane.trail import Trail, evidence_of
from services.dataplane.translation import Translation, Untranslatable
from services.dataplane.voice.choice import Decide, speech_plan, voices_of
from services.dataplane.voice.frames import (
    AudioEvidence,
    Frames,
    audio_form,
    is_end,
    object_in,
    sound_kind,
    text_of,
)
from services.dataplane.voice.history import ID_PREFIX
from services.dataplane.voice.pipeline import Pipeline
from services.dataplane.voice.segmenter import Segmenter
from services.dataplane.voice.sound import SoundOfAll
from services.dataplane.voice.speaker import Means, Speaker
from services.dataplane.voice.wish import Speakable, Wish, names_speech, read_wish

WAITING = 64
"""Pieces of an answer that may wait for the caller."""
_CHAT = "chat.completions"
Event = tuple[SseEvent, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Voiced:
    """What an answer is to be spoken by, as the engine carries it beside the request for its text."""

    request: Speakable
    wish: Wish
    plan: Plan
    voices: Mapping[str, str]
    deadline: float | None


def speaks_itself(request: Speakable, plan: Plan | Undecided) -> bool:
    """Whether nothing has to be spoken here: nobody asked for it, or a model of the chat does it itself.

    Args:
        plan: For the request as it stands.
    """
    if request.audio is None:
        return True
    itself = request.asks_model and not names_speech(request.audio)
    return itself and isinstance(plan, Plan) and any(_makes_sound(c) for c in plan.candidates)


def voiced(request: Speakable, plan: Plan, context: RequestContext, snapshot: Snapshot, decide: Decide) -> Voiced:
    """Who shall speak the answer.

    Args:
        plan: For its text.
        context: Facts of the request, with its messages.

    Raises:
        InvalidRequest: The wish is not well formed, or nobody can fulfil it.
    """
    wish = read_wish(request.audio)
    labels = (*context.preferences.labels, *_variant_labels(snapshot, plan))
    speech = speech_plan(snapshot, wish, changed(context, preferences=Preferences(labels=labels)), decide)
    return Voiced(request, wish, speech, voices_of(snapshot, wish, speech), context.deadline)


def _variant_labels(snapshot: Snapshot, plan: Plan) -> tuple[LabelDemand, ...]:
    """What the variant that was chosen for the text demands of every target, whoever brings it."""
    router = snapshot.routers.get(plan.router_id)
    if router is None:
        return ()
    variants = (v for r in router.all_routes if r.route_id == plan.route_id for v in r.variants)
    return next((v.preferences.labels for v in variants if v.variant_id == plan.variant_id), ())


def _makes_sound(candidate: Candidate) -> bool:
    """Whether a model of the caller's own protocol may make sound; of most that are not known nobody can say."""
    if candidate.target.capabilities.audio_output is False:
        return False
    try:
        return codec_for(candidate.target, _CHAT).api == _CHAT
    except Untranslatable:
        return False


class _SpeechLost(Exception):
    """Speech failed that the caller cannot do without."""


class VoicedAnswer:
    """One answer that is spoken."""

    def __init__(self, means: Means, voiced: Voiced, trail: Trail) -> None:
        self._means = means
        self._voiced = voiced
        self._trail = trail
        self._segmenter = Segmenter()
        self._id = f"{ID_PREFIX}{trail.generation_id}"
        self._speaker = Speaker(means, voiced.plan, voiced.wish, voiced.voices, trail, voiced.deadline)
        self._frames = Frames(voiced.wish, self._id, int(means.clock.wall()))
        self._out: asyncio.Queue[bytes | Exception | None] = asyncio.Queue(WAITING)
        self._pipeline: Pipeline | None = None
        self._lost = asyncio.Event()
        self._complete = False
        """The caller has, or will find in the queue, all that there is."""

    async def stream(self, frames: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        """The frames of the text with those of the sound between them. Closing it closes `frames`, and all speech.

        Raises:
            RouterError: As `frames` does, before its first.
        """
        work = asyncio.get_running_loop().create_task(self._work(frames))
        try:
            while (piece := await self._out.get()) is not None:
                if isinstance(piece, Exception):
                    raise piece
                yield piece
        except (asyncio.CancelledError, GeneratorExit):
            if not self._complete:
                self._trail.outcome = "cancelled"
            raise
        finally:
            work.cancel()
            await asyncio.wait({work})

    async def whole(self, translation: Translation) -> bytes:
        """The body of a whole answer, with its sound.

        Raises:
            RouterError: There is none, and the caller cannot do without.
        """
        wish, spoken = self._voiced.wish, self._speaker.spoken
        body = translation.render(evidence_of(self._trail, self._means.clock.monotonic()))
        text = text_of(object_in(body) or {}, "message")
        sound = SoundOfAll(wish)

        async def take(transcript: str, piece: bytes) -> None:
            self._note_sound()
            sound.take(transcript, piece)

        self._pipeline = Pipeline(self._speaker.say, take)
        try:
            for segment in (*self._segmenter.feed(text), *self._segmenter.end()):
                self._pipeline.add(segment)
            await self._pipeline.finish()
        except asyncio.CancelledError:
            self._trail.outcome = "cancelled"
            raise
        finally:
            await self._pipeline.stop()
        failure = self._pipeline.failure
        if failure is not None and wish.required:
            self._trail.outcome = "failed"
            raise failure
        evidence = self._evidence()
        if not self._pipeline.spoken:
            return evidence.put(body)
        audio = {
            "id": self._id,
            "expires_at": int(self._means.clock.wall()),
            **sound.form(self._pipeline.spoken, spoken),
        }
        return evidence.put(body, {**audio, **sound_kind(wish, spoken)})

    async def _work(self, frames: AsyncGenerator[bytes, None]) -> None:
        """Fill the queue of what the caller gets."""
        try:
            try:
                ending = await self._written(frames)
                await self._end(ending)
            except _SpeechLost:
                await self._give_up()
            finally:
                await self._silence()
        except Exception as error:  # noqa: BLE001 - raised again in `stream`
            await self._out.put(error)
        else:
            await self._out.put(None)

    async def _written(self, frames: AsyncGenerator[bytes, None]) -> list[Event]:
        """Hand the text on and have it spoken; the events that end the answer, which wait for its sound.

        Raises:
            _SpeechLost: Speech failed that the caller cannot do without.
        """
        loop = asyncio.get_running_loop()
        text, lost = loop.create_task(self._pump(frames)), loop.create_task(self._lost.wait())
        try:
            await asyncio.wait({text, lost}, return_when=asyncio.FIRST_COMPLETED)
            if not text.done():
                raise _SpeechLost
            return text.result()
        finally:
            text.cancel()
            lost.cancel()
            await asyncio.wait({text, lost})

    async def _pump(self, frames: AsyncGenerator[bytes, None]) -> list[Event]:
        ending: list[Event] = []
        async with aclosing(frames) as pieces:
            async for piece in pieces:
                shown: list[bytes] = []
                for event, chunk in self._frames.events(piece):
                    if ending or is_end(event, chunk):
                        ending.append((event, chunk))
                    else:
                        shown.append(event.raw + b"\n\n")
                    if chunk.get("restart"):
                        await self._begin_again()
                    for segment in self._segmenter.feed(text_of(chunk)):
                        self._speech().add(segment)
                if shown:
                    await self._out.put(b"".join(shown))
        return ending

    async def _end(self, ending: list[Event]) -> None:
        """Wait for the rest of the sound, and say how all of it went.

        Raises:
            _SpeechLost: Speech failed that the caller cannot do without.
        """
        if not any(chunk.get("error") is not None for _, chunk in ending):
            for segment in self._segmenter.end():
                self._speech().add(segment)
            if self._pipeline is not None:
                await self._pipeline.finish()
                if self._pipeline.failure is not None and self._voiced.wish.required:
                    raise _SpeechLost
        await self._silence()
        evidence = self._evidence()
        frames = [frame(evidence.put(event.data) if chunk else event.data) for event, chunk in ending]
        await self._out.put(b"".join(frames))
        self._complete = True

    async def _give_up(self) -> None:
        """End the answer by an error, since its speech failed."""
        await self._silence()
        error, trail = self._pipeline.failure if self._pipeline is not None else None, self._trail
        assert error is not None, "the speech failed"
        trail.outcome, trail.error_reason = "broken", error.reason
        evidence = evidence_of(trail, self._means.clock.monotonic())
        evidence = changed(evidence, metadata=self._evidence().metadata(evidence.metadata))
        await self._out.put(self._voiced.request.error_frame(error, evidence))
        self._complete = True

    async def _begin_again(self) -> None:
        """Forget the answer so far: the caller was told to do so, too."""
        await self._silence()
        self._pipeline, self._segmenter = None, Segmenter()
        self._frames.begin_again()

    async def _silence(self) -> None:
        if self._pipeline is not None:
            await self._pipeline.stop()

    def _speech(self) -> Pipeline:
        """The pipeline, made when there is something to say."""
        if self._pipeline is None:
            lost = self._lost.set if self._voiced.wish.required else _nothing
            self._pipeline = Pipeline(self._speaker.say, self._heard, lost)
        return self._pipeline

    async def _heard(self, transcript: str, piece: bytes) -> None:
        self._note_sound()
        await self._out.put(self._frames.sound(transcript, piece, self._speaker.spoken))

    def _note_sound(self) -> None:
        spoken = self._speaker.spoken
        if not spoken.first_at:
            spoken.first_at = self._trail.audio_at = self._means.clock.monotonic()

    def _evidence(self) -> AudioEvidence:
        """What is to be told of the speech; the trail of the request hears of it as well."""
        trail, spoken, pipeline = self._trail, self._speaker.spoken, self._pipeline
        failure = pipeline.failure if pipeline is not None else None
        spoken.segments = pipeline.spoken if pipeline is not None else 0
        trail.warn(spoken.warnings)
        if failure is not None:
            trail.warn([f"the answer was not spoken to its end: {failure.message}"])
        if spoken.unpriced:
            trail.warn(["the price of the speech is not known; usage.cost is that of the text"])
        audio = audio_form(self._voiced.wish, spoken, trail.started, failure)
        duration = round((self._means.clock.monotonic() - trail.started) * 1000.0, 1)
        return AudioEvidence(audio, trail.warnings, duration, spoken)


def _nothing() -> None:
    """Nobody waits for it."""
