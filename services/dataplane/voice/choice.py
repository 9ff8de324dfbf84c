"""Who speaks an answer: the plan for its speech, made by the decision that plans everything else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from services.core.errors import InvalidRequest
from services.core.policy.names import split_model
from services.core.policy.preferences import LabelDemand, Preferences
from services.core.policy.provider_types import INWORLD_TTS, OPENAI
from services.core.policy.selection import unlabelled
from services.core.policy.snapshot import CompiledProvider, Snapshot, Target
from services.core.routing.context import RequestContext
from services.core.routing.named import named
from services.core.routing.plan import Candidate, Plan, Undecided
from services.core.values import changed
from services.dataplane.operations.registry import speaks
from services.dataplane.operations.speech import lacks_voice, may_have_voice, own_voice
from services.dataplane.voice.wish import Wish
from services.runtime.catalogue.knowledge import kind_of

Decide = Callable[[RequestContext], Plan | Undecided]

_SPEECH = "speech"
"""Kind of models that speak."""
_DEFAULTS: Mapping[str, str] = {INWORLD_TTS: "inworld-tts-2", OPENAI: "gpt-4o-mini-tts"}
"""The model that a provider speaks with where nobody names one, by its type."""
_FAMILIES: Mapping[str, str] = {"inworld-tts-": INWORLD_TTS}
"""Whose models are called so, wherever policy has the provider."""


def speech_plan(snapshot: Snapshot, wish: Wish, context: RequestContext, decide: Decide) -> Plan:
    """The plan for the speech of an answer.

    Args:
        context: Facts of the chat request, with its messages. Of its preferences only the labels count here, which
            say where its words may go.

    Raises:
        InvalidRequest: There is nobody who could speak; it says what is missing.
    """
    labels = context.preferences.labels
    names = [known_name(snapshot, name) for name in wish.models] or [_first_that_fits(snapshot, wish.voice, labels)]
    plan = decide(
        RequestContext(
            model=names[0],
            models=tuple(names[1:]),
            preferences=Preferences(labels=labels),
            metadata=context.metadata,
            messages=context.messages,
            user=context.user,
            session=context.session,
            deadline=context.deadline,
        )
    )
    if isinstance(plan, Undecided):
        raise InvalidRequest(f"the answer cannot be spoken: {plan.message}", param="audio.model")
    if plan.automatic:
        told = "the answer cannot be spoken: an automatic choice is one among models of chat; name a model of speech"
        raise InvalidRequest(told, param="audio.model")
    able = tuple(c for c in plan.candidates if speaks(c.target))
    if not able:
        told = ", ".join(repr(c.target.model) for c in plan.candidates[:3])
        why = f"no provider of {told} makes speech; name a model of speech in `audio.model`"
        raise InvalidRequest(f"the answer cannot be spoken: {why}", param="audio.model")
    return _voiced(snapshot, wish, changed(plan, candidates=able))


def _voiced(snapshot: Snapshot, wish: Wish, plan: Plan) -> Plan:
    """The plan without candidates that are known not to have their voice.

    Raises:
        InvalidRequest: None is left.
    """
    voices = voices_of(snapshot, wish, plan)
    able = tuple(c for c in plan.candidates if not lacks_voice(c.target.provider, _voice_at(c, voices)))
    if not able:
        told = ", ".join(f"{c.target.model} has no voice {voices[c.target.model]!r}" for c in plan.candidates[:3])
        raise InvalidRequest(f"the answer cannot be spoken: {told}", param="audio.voice")
    return changed(plan, candidates=able)


def _voice_at(candidate: Candidate, voices: Mapping[str, str]) -> str:
    return own_voice(candidate.target.provider, voices[candidate.target.model])


def voices_of(snapshot: Snapshot, wish: Wish, plan: Plan) -> Mapping[str, str]:
    """The voice at each target of the plan, by its model id."""
    own: dict[str, str] = {}
    for name, voice in wish.voices.items():
        found = named(snapshot, known_name(snapshot, name))
        targets = found.router.named if found.router is not None else [t.model for t in found.targets]
        own.update(dict.fromkeys(targets, voice))
    return {c.target.model: own.get(c.target.model, wish.voice) for c in plan.candidates}


def raw_rate(candidate: Candidate, wish: Wish) -> int:
    """Samples per second of the raw sound of a candidate: as asked for at Inworld, 24,000 as OpenAI's elsewhere."""
    if candidate.target.provider.protocol == INWORLD_TTS:
        return wish.sample_rate or 48_000
    return 24_000


def known_name(snapshot: Snapshot, name: str) -> str:
    """`name`, or what this policy calls it: Inworld's models go by their bare names, or behind "inworld/"."""
    found = named(snapshot, name)
    if found.router is not None or found.targets:
        return name
    bare = split_model(name)[1]
    for beginning, kind in _FAMILIES.items():
        if bare.startswith(beginning):
            providers = (p.name for p in snapshot.providers.values() if p.type == kind)
            return next((f"{provider}/{bare}" for provider in providers), name)
    return name


def _first_that_fits(snapshot: Snapshot, voice: str, labels: tuple[LabelDemand, ...]) -> str:
    """The first model of speech of the policy that may have the voice, at a provider with the labels.

    Raises:
        InvalidRequest: There is none.
    """
    demands, others = (*snapshot.demands, *labels), []
    for model, provider in _speaking(snapshot):
        why = unlabelled(provider, demands)
        if not why and may_have_voice(provider, own_voice(provider, voice)):
            return model
        others.append(f"{model}: {why or 'it has no such voice'}")
    have = "; ".join(others) or "it has no provider of speech"
    told = (
        f"the answer cannot be spoken: nothing in the policy fits the voice {voice!r} ({have}); "
        "name a model of speech in `audio.model`, or add a provider such as one of the type inworld_tts or openai"
    )
    raise InvalidRequest(told, param="audio.model" if others else "audio")


def _speaking(snapshot: Snapshot) -> Iterator[tuple[str, CompiledProvider]]:
    """Models of speech and their providers: those that policy names, then one of each vendor."""
    for model, target in snapshot.models.items():
        if _is_speech(target):
            yield model, target.provider
    for provider in snapshot.providers.values():
        if provider.type in _DEFAULTS:
            yield f"{provider.name}/{_DEFAULTS[provider.type]}", provider


def _is_speech(target: Target) -> bool:
    """Whether a model of policy makes speech: as the catalogue says, or its name."""
    named = _SPEECH in {target.kind, kind_of(target.upstream_model)} or target.provider.protocol == INWORLD_TTS
    return named and speaks(target)
