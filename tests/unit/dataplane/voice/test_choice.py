"""Who speaks, when nobody or somebody is named."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from services.core.errors import InvalidRequest
from services.core.policy.compile import Problems
from services.core.policy.snapshot import Snapshot
from services.core.routing.context import RequestContext
from services.core.routing.decide import decide
from services.core.routing.plan import Plan
from services.dataplane.health_tracker import HealthTracker
from services.dataplane.policy_holder import PolicyHolder
from services.dataplane.voice.choice import speech_plan, voices_of
from services.dataplane.voice.wish import Wish
from services.runtime.catalogue.shipped import ShippedCatalogue
from services.runtime.conditions import CelCompiler
from tests.support.inprocess import policy_set
from tests.unit.dataplane.fakes import provider, router

INWORLD = provider("voices", "inworld_tts")
OPENAI = provider("gpt", "openai")
LOCAL = provider("local", "openai_compatible")


def snapshot(*forms: dict[str, Any]) -> Snapshot:
    holder = PolicyHolder(CelCompiler(), ShippedCatalogue())
    compiled = holder.compile(policy_set(*forms))
    assert not isinstance(compiled, Problems), compiled
    return compiled


def planned(found: Snapshot, wish: Wish) -> Plan:
    view = HealthTracker().view(0.0)
    ask = partial(decide, found, health=view, now=0.0, seed=1)
    return speech_plan(found, wish, RequestContext("m", metadata={"tier": "gold"}), ask)


def models(found: Snapshot, wish: Wish) -> list[str]:
    return [c.target.model for c in planned(found, wish).candidates]


@pytest.mark.parametrize(
    ("voice", "found"),
    [("Dennis", "voices/inworld-tts-2"), ("alloy", "gpt/gpt-4o-mini-tts"), ("voice_12", "voices/inworld-tts-2")],
)
def test_policy_chooses_by_the_voice(voice: str, found: str) -> None:
    assert models(snapshot(INWORLD, OPENAI), Wish(voice)) == [found]


def test_a_provider_whose_voices_policy_names_may_have_them() -> None:
    mapped = {**INWORLD, "voices": {"alloy": "Ashley"}}
    assert models(snapshot(mapped, OPENAI), Wish("alloy")) == ["voices/inworld-tts-2"]
    assert models(snapshot(mapped, OPENAI), Wish("ash")) == ["gpt/gpt-4o-mini-tts"]


def test_targets_that_are_known_not_to_have_the_voice_are_left_out() -> None:
    named = ("voices/inworld-tts-2", "local/tts", "gpt/tts-1")
    found = snapshot(INWORLD, OPENAI, LOCAL)
    assert models(found, Wish("alloy", models=named)) == ["local/tts", "gpt/tts-1"]
    assert models(found, Wish("a-new-one", models=named)) == list(named)
    assert models(snapshot({**INWORLD, "voices": {"alloy": "Ashley"}}), Wish("alloy", models=named[:1])) == [named[0]]
    with pytest.raises(InvalidRequest, match="voices/inworld-tts-2 has no voice 'alloy'") as caught:
        planned(found, Wish("alloy", models=named[:1]))
    assert caught.value.param == "audio.voice"


def test_a_model_of_speech_that_policy_names_comes_first() -> None:
    named = {"kind": "Model", "name": "local/some-tts"}
    assert models(snapshot(INWORLD, OPENAI, LOCAL, named), Wish("af_bella")) == ["local/some-tts"]
    inworld = {"kind": "Model", "name": "voices/inworld-tts-1.5-max"}
    assert models(snapshot(INWORLD, OPENAI, inworld), Wish("Dennis")) == ["voices/inworld-tts-1.5-max"]
    assert models(snapshot(INWORLD, OPENAI, inworld), Wish("alloy")) == ["gpt/gpt-4o-mini-tts"]


@pytest.mark.parametrize("name", ["inworld-tts-2", "inworld/inworld-tts-2", "voices/inworld-tts-2"])
def test_inworlds_models_are_found_by_all_of_their_names(name: str) -> None:
    assert models(snapshot(INWORLD), Wish("Dennis", (name,))) == ["voices/inworld-tts-2"]


def test_a_router_may_choose_and_conditions_read_the_metadata() -> None:
    plain = router("voices/inworld-tts-2", "gpt/tts-1")
    other = {"variant_id": "w", "model_id": "gpt/tts-1-hd"}
    gold = {
        "cel_expression": "tier == 'gold'",
        "route": {"route_id": "g", "variants": [{"weight": 100, "variant": other}]},
    }
    found = snapshot(
        INWORLD,
        OPENAI,
        {**plain, "routes": [{"condition": {"cel_expression": gold["cel_expression"]}, "route": gold["route"]}]},
    )
    plan = planned(found, Wish("Dennis", ("inworld/r",)))
    assert (plan.router_id, plan.route_id, plan.candidates[0].target.model) == ("r", "g", "gpt/tts-1-hd")


def test_fallbacks_may_have_voices_of_their_own() -> None:
    found = snapshot(INWORLD, OPENAI, router("gpt/tts-1"))
    wish = Wish("Dennis", ("inworld-tts-2", "gpt/gpt-4o-mini-tts"), {"gpt/gpt-4o-mini-tts": "alloy"})
    plan = planned(found, wish)
    assert voices_of(found, wish, plan) == {"voices/inworld-tts-2": "Dennis", "gpt/gpt-4o-mini-tts": "alloy"}
    routed = Wish("Dennis", ("inworld/r",), {"inworld/r": "nova"})
    assert voices_of(found, routed, planned(found, routed)) == {"gpt/tts-1": "nova"}


@pytest.mark.parametrize(
    ("forms", "wish", "told"),
    [
        ((LOCAL,), Wish("Dennis"), "it has no provider of speech"),
        ((OPENAI,), Wish("Dennis"), "gpt/gpt-4o-mini-tts: it has no such voice"),
        ((INWORLD,), Wish("alloy"), "voices/inworld-tts-2: it has no such voice"),
        ((OPENAI, {"kind": "Model", "name": "gpt/gpt-4o"}), Wish("Dennis", ("auto",)), "an automatic choice"),
        ((INWORLD,), Wish("Dennis", ("nowhere/x",)), "no provider 'nowhere'"),
        (
            (INWORLD, provider("claude", "anthropic")),
            Wish("Dennis", ("claude/m",)),
            "no provider of 'claude/m' makes speech",
        ),
    ],
)
def test_what_is_missing_is_said(forms: tuple[dict[str, Any], ...], wish: Wish, told: str) -> None:
    with pytest.raises(InvalidRequest, match="the answer cannot be spoken") as refused:
        planned(snapshot(*forms), wish)
    assert told in refused.value.message
