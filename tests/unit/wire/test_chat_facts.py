"""The routing facts of a body: both places, wrong types, what conditions see."""

from __future__ import annotations

from typing import Any

import pytest

from services.core.errors import InvalidRequest
from services.wire.chat_facts import condition_messages, flat_text, read_facts


def test_the_nested_place_wins_and_metadata_merge_key_by_key() -> None:
    facts = read_facts(
        {
            "model": "m",
            "models": ["top/x"],
            "ignore": ["top/y"],
            "metadata": {"a": 1, "b": 1},
            "fallback": {"ttft_timeout": "1s"},
            "user": "top",
            "extra_body": {
                "models": ["in/x"],
                "metadata": {"b": 2},
                "fallback": {"ttft_timeout": "500ms"},
                "provider": {"order": ["p"], "allow_fallbacks": False},
                "user": "inner",
            },
        }
    )
    assert facts.models == ("in/x",)
    assert facts.preferences.ignore == ("top/y",)
    assert facts.metadata == {"a": 1, "b": 2}
    assert facts.clocks == {"first_content": 0.5, "first_event": 0.5}
    assert facts.preferences.order == ("p",)
    assert facts.preferences.allow_fallbacks is False
    assert facts.user == "inner"


def test_the_sticky_unit_falls_back_to_the_session() -> None:
    assert read_facts({"model": "m"}, user="session").user == "session"
    assert read_facts({"model": "m", "user": ""}, user="session").user == "session"
    assert read_facts({"model": "m", "user": 5}, user="session").user == "session"
    assert read_facts({"model": "m", "user": "own"}, user="session").user == "own"


def test_fallback_models_alone_are_enough() -> None:
    assert read_facts({"models": ["a/b"]}).models == ("a/b",)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "model"),
        ({"model": None}, "model"),
        ({"model": 5}, "model"),
        ({"model": "m", "models": "a/b"}, "models"),
        ({"model": "m", "models": [1]}, "models"),
        ({"model": "m", "ignore": {"a": 1}}, "ignore"),
        ({"model": "m", "metadata": [1]}, "metadata"),
        ({"model": "m", "extra_body": "x"}, "extra_body"),
        ({"model": "m", "extra_body": {"metadata": "x"}}, "metadata"),
        ({"model": "m", "provider": "openai"}, "provider"),
        ({"model": "m", "provider": {"order": "openai"}}, "provider.order"),
        ({"model": "m", "fallback": "1s"}, "fallback"),
        ({"model": "m", "fallback": {"ttft_timeout": 800}}, "fallback.ttft_timeout"),
        ({"model": "m", "fallback": {"ttft_timeout": "soon"}}, "fallback.ttft_timeout"),
        ({"model": "m", "fallback": {"ttft_timeout": "0s"}}, "fallback.ttft_timeout"),
    ],
)
def test_a_field_of_the_wrong_type_is_the_callers_fault(body: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_facts(body)
    assert caught.value.param == param


def test_a_misspelt_member_of_fallback_is_told() -> None:
    facts = read_facts({"model": "m", "fallback": {"ttft_timout": "1s", "ttft_timeout": "2s"}})
    assert facts.warnings == ("fallback.ttft_timout was dropped: it is not known here",)
    assert facts.clocks == {"first_content": 2.0, "first_event": 2.0}


def test_fields_that_are_null_count_as_absent() -> None:
    body = {"model": "m", "models": None, "metadata": None, "extra_body": None, "provider": None, "fallback": None}
    assert read_facts(body) == read_facts({"model": "m"})


def test_conditions_see_contents_flattened_and_everything_else_as_it_is() -> None:
    messages = [
        {"role": "system", "content": "rules", "name": "x"},
        {"role": "user", "content": [{"type": "text", "text": "one"}, {"type": "image_url"}, {"text": "two"}]},
        {"role": "assistant", "content": None, "tool_calls": []},
        "not a message",
    ]
    assert condition_messages(messages) == (
        {"role": "system", "content": "rules", "name": "x"},
        {"role": "user", "content": "one\ntwo"},
        {"role": "assistant", "content": "", "tool_calls": []},
    )


@pytest.mark.parametrize("messages", [None, 5, "text", {"role": "user"}])
def test_messages_that_are_none_give_conditions_nothing(messages: Any) -> None:
    assert condition_messages(messages) == ()


@pytest.mark.parametrize("content", [None, 5, {"text": "x"}, [1, {"text": 2}]])
def test_content_without_text_is_empty_text(content: Any) -> None:
    assert flat_text(content) == ""
