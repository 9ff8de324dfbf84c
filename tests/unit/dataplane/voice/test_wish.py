"""The field `audio`, and turns that were spoken here."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from services.core.errors import InvalidRequest
from services.dataplane.members import split_members
from services.dataplane.voice.history import with_own_words
from services.dataplane.voice.wish import names_speech, read_wish


def test_all_that_a_wish_may_say() -> None:
    wish = read_wish(
        {
            "voice": {"id": "voice_1"},
            "model": "a",
            "models": ["b", {"model": "c", "voice": "x"}, "a"],
            "format": "wav",
            "sample_rate": 16_000,
            "required": True,
            "speed": 1.2,
            "language": None,
            "colour": "blue",
        }
    )
    assert (wish.voice, wish.models, wish.voices) == ("voice_1", ("a", "b", "c"), {"c": "x"})
    assert (wish.format, wish.sample_rate, wish.required, wish.is_raw) == ("wav", 16_000, True, True)
    assert wish.more == {"speed": 1.2}
    assert wish.warnings == ("audio.colour was dropped: it is not known here",)


def test_what_it_need_not_say() -> None:
    wish = read_wish({"voice": "Dennis"})
    assert (wish.models, wish.format, wish.sample_rate, wish.required) == ((), "pcm16", None, False)
    assert not read_wish({"voice": "Dennis", "format": "mp3"}).is_raw


@pytest.mark.parametrize(
    ("audio", "named"),
    [({"model": "a"}, True), ({"models": ["a"]}, True), ({"voice": "a"}, False), ({"model": ""}, False), (True, False)],
)
def test_whether_a_model_of_speech_is_named(audio: Any, named: bool) -> None:
    assert names_speech(audio) is named


def turned(*messages: Any) -> Any:
    members = split_members(msgspec.json.encode({"messages": list(messages)}))
    return msgspec.json.decode(with_own_words(members)["messages"])


OURS = {"id": "audio_turnout_1", "data": "AAAA", "transcript": "Hello", "expires_at": 1}


@pytest.mark.parametrize(
    ("message", "found"),
    [
        ({"role": "assistant", "content": "Hi", "audio": OURS}, {"role": "assistant", "content": "Hi"}),
        ({"role": "assistant", "content": None, "audio": OURS}, {"role": "assistant", "content": "Hello"}),
        ({"role": "assistant", "tool_calls": [1], "audio": OURS}, {"role": "assistant", "tool_calls": [1]}),
        ({"role": "assistant", "audio": {"id": "audio_1"}}, {"role": "assistant", "audio": {"id": "audio_1"}}),
        ("odd", "odd"),
    ],
)
def test_a_turn_that_was_spoken_here_comes_back_as_words(message: Any, found: Any) -> None:
    user = {"role": "user", "content": 'say "audio_turnout_9"'}
    assert turned(user, {"role": "assistant", "audio": OURS}, message)[2] == found


def test_a_turn_without_words_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="send the words") as refused:
        turned({"role": "assistant", "audio": {"id": "audio_turnout_1"}})
    assert refused.value.param == "messages[0].audio"


def test_other_requests_keep_their_bytes() -> None:
    members = split_members(b'{"messages": [ {"role":"user", "content":"hi"} ]}')
    assert with_own_words(members) is members
