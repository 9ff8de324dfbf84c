"""Spoken answers and what else may happen to their text: mending, restarts, hold-back, residency, tool calls."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_voice import SENTENCES, SPOKEN, TEXT, ask, chunks, metadata, says, sound_of, sounds, speech, text_in
from tests.support.inprocess import TOPOLOGIES, records, running_suite
from tests.support.upstream import (
    STREAM_HEAD,
    Close,
    Seen,
    Step,
    Upstream,
    chunk,
    openai_answer,
    openai_events,
    running_upstream,
    streamed,
    whole,
)

SENTENCE = SENTENCES[0]


@pytest.fixture(params=TOPOLOGIES)
def topology(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def forms(first: Upstream, second: Upstream, voice: Upstream, **router: Any) -> list[dict[str, Any]]:
    """Two providers of chat behind a router, and one of speech; the first two and the third in the EU."""
    variant = {"variant_id": "v", "model_id": "one/m", "model_selection": {"models": ["two/m"]}}
    if "labels" in router:
        variant["model_selection"] |= {"provider": {"labels": router.pop("labels")}}  # type: ignore[operator]
    route = {"route_id": "r", "variants": [{"weight": 100, "variant": variant}]}
    chat = [
        {
            "kind": "Provider",
            "name": name,
            "type": "openai_compatible",
            "base_url": f"{at.url}/v1",
            "labels": {"region": "eu"},
        }
        for name, at in (("one", first), ("two", second))
    ]
    tts = {"kind": "Provider", "name": "tts", "type": "inworld_tts", "base_url": voice.url, "labels": {"region": "us"}}
    return [
        *chat,
        {"kind": "Model", "name": "two/m", "capabilities": {"prefill": True}},
        tts,
        {"kind": "Router", "name": "pair", "default_route": route, **router},
    ]


def breaks_after(*texts: str) -> list[Step]:
    return [STREAM_HEAD, *(chunk(f) for f in openai_events(*texts)[: 1 + len(texts)]), Close]


def spoken_by(voice: Upstream) -> list[str]:
    return [seen.json["text"] for seen in voice.journal]


async def test_a_mended_answer_is_spoken_once(tmp_path: Path, topology: str) -> None:
    async with (
        running_upstream(lambda seen: breaks_after(SENTENCE, "This is the second")) as first,
        running_upstream(lambda seen: streamed(openai_events(" sentence of it. ", SENTENCES[2]))) as second,
        running_upstream(speech) as voice,
        running_suite(tmp_path, topology, *forms(first, second, voice, recovery="continue")) as suite,
    ):
        found = await chunks(suite, ask(model="inworld/pair"))
        assert text_in(found) == TEXT
        assert sounds(found) == SPOKEN
        assert len(metadata(found)["attempts"]) == 2
        assert spoken_by(voice) == [text.strip() for text in SENTENCES]


async def test_text_that_was_never_shown_is_never_spoken(tmp_path: Path, topology: str) -> None:
    async with (
        running_upstream(lambda seen: breaks_after("Never shown. ", "So never heard. ")) as first,
        running_upstream(says(*SENTENCES)) as second,
        running_upstream(speech) as voice,
    ):
        policy = forms(first, second, voice, commit_after={"tokens": 50})
        async with running_suite(tmp_path, topology, *policy) as suite:
            found = await chunks(suite, ask(model="inworld/pair"))
            assert sounds(found) == SPOKEN
            assert spoken_by(voice) == [text.strip() for text in SENTENCES]


async def test_a_restart_forgets_the_sound_as_well(tmp_path: Path, topology: str) -> None:
    other = "Something else is said. "
    async with (
        running_upstream(lambda seen: breaks_after(SENTENCE, "This is")) as first,
        running_upstream(says(other, SENTENCES[2])) as second,
        running_upstream(speech) as voice,
        running_suite(tmp_path, topology, *forms(first, second, voice, recovery="restart")) as suite,
    ):
        body, headers = ask({"voice": "Dennis", "format": "wav"}, model="inworld/pair"), {"x-turnout-restart": "allow"}
        answer = await suite.http.post("/v1/chat/completions", json=body, headers=headers)
        told = [line[6:] for line in answer.text.splitlines() if line.startswith("data: ")]
        assert told[-1] == "[DONE]"
        found = [json.loads(data) for data in told[:-1]]
        at = next(i for i, value in enumerate(found) if value.get("restart"))
        rest = found[at + 1 :]
        assert text_in(rest) == other + SENTENCES[2]
        heard = sounds(rest)
        assert [text for text, _ in heard] == [other, SENTENCES[2]]
        assert heard[0][1][:4] == b"RIFF"
        assert heard[0][1][44:] == sound_of(other.strip())
        assert metadata(found)["audio"]["segments"] == 2


async def test_speech_stays_where_the_words_may_go(tmp_path: Path) -> None:
    async with (
        running_upstream(says(TEXT)) as chat,
        running_upstream(speech) as voice,
        running_suite(tmp_path, "fused", *forms(chat, chat, voice, labels={"region": "eu"})) as suite,
    ):
        for audio in ({"voice": "Dennis"}, {"voice": "Dennis", "model": "tts/inworld-tts-2"}):
            answer = await suite.http.post("/v1/chat/completions", json=ask(audio, model="inworld/pair"))
            assert answer.status_code == 400
            assert "the label 'region' of tts is 'us'" in answer.json()["error"]["message"]
        demand = ask(model="one/m", provider={"zdr": True})
        assert (await suite.http.post("/v1/chat/completions", json=demand)).status_code in {400, 404}
        assert not voice.journal
        found = await chunks(suite, ask({"voice": "Dennis"}, model="one/m"))
        assert "".join(text for text, _ in sounds(found)) == TEXT


@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_without_words_has_no_sound(tmp_path: Path, topology: str, stream: bool) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}

    def calls(seen: Seen) -> Sequence[Step]:
        if seen.json.get("stream"):
            frames = openai_events("x")
            delta = {"tool_calls": [{"index": 0, **call}]}
            frames[1] = frames[1].replace(b'{"content": "x"}', json.dumps(delta).encode())
            return streamed(frames)
        answer = openai_answer()
        answer["choices"][0]["message"] |= {"content": None, "tool_calls": [call]}
        return [whole(200, answer)]

    async with (
        running_upstream(calls) as chat,
        running_upstream(speech) as voice,
        running_suite(tmp_path, topology, *forms(chat, chat, voice)) as suite,
    ):
        if stream:
            found = await chunks(suite, ask(model="one/m"))
            assert not sounds(found)
            told = metadata(found)["audio"]
        else:
            answer = (await suite.http.post("/v1/chat/completions", json=ask(model="one/m", stream=False))).json()
            assert "audio" not in answer["choices"][0]["message"]
            told = answer["metadata"]["audio"]
        assert (told["segments"], told["characters"], told["model"]) == (0, 0, None)
        assert not voice.journal
        assert [r.api for r in records(suite)] == ["chat.completions"]


async def test_several_answers_are_not_spoken(tmp_path: Path) -> None:
    async with (
        running_upstream(says(TEXT)) as chat,
        running_upstream(speech) as voice,
        running_suite(tmp_path, "fused", *forms(chat, chat, voice)) as suite,
    ):
        answer = await suite.http.post("/v1/chat/completions", json=ask(model="one/m", n=2))
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "n")


async def test_markdown_is_spoken_without_its_marks_and_code_is_not(tmp_path: Path, topology: str) -> None:
    text = "## Title\n\nUse **this**, please:\n\n```py\nprint('Hi. There.')\n```\n\nThat is all of it."
    async with (
        running_upstream(says(*text)) as chat,
        running_upstream(speech) as voice,
        running_suite(tmp_path, topology, *forms(chat, chat, voice)) as suite,
    ):
        found = await chunks(suite, ask(model="one/m"))
        assert text_in(found) == text
        assert spoken_by(voice) == ["Title", "Use this, please:", "That is all of it."]
