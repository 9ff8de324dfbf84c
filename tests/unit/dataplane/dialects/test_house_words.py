"""Inworld's and OpenRouter's words in requests of Anthropic's and of the Responses API: searches and compression."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.core.errors import InvalidRequest
from services.dataplane.dialects.registry import dialect_of
from services.dataplane.translation import Translation, Untranslatable
from tests.support.asking import question
from tests.unit.dataplane.build import candidate

TARGETS = {
    "anthropic": candidate("claude/claude-sonnet-4-5", "anthropic"),
    "vertex": candidate("vertex/claude-sonnet-4-5", "vertex"),
    "google": candidate("goo/gemini-2.5-flash", "google"),
    "openai": candidate("openai/gpt-5-search-api", "openai"),
    "mistral": candidate("mistral/m", "mistral"),
}
TOOL = {"type": "web_search_20250305", "name": "web_search"}
MINE = {"name": "mine", "input_schema": {"type": "object"}, "cache_control": {"type": "ephemeral"}}
NO_COMPRESSION = "compression was dropped: no provider compresses prompts"


def translated(kind: str, api: str = "messages", **more: Any) -> tuple[Any, Translation]:
    """What the provider gets, and the translation."""
    body = json.dumps(question(api, **more)).encode()
    made = dialect_of(api).read(body, {}).translate(TARGETS[kind])
    sent = made.request("key")
    assert sent is not None
    return json.loads(sent.body), made


WISHES: list[dict[str, Any]] = [
    {"web_search": True},
    {"web_search_options": {}},
    {"plugins": [{"id": "web"}]},
    {"extra_body": {"web_search": True}},
    {"model": "claude/claude-sonnet-4-5:online"},
]


@pytest.mark.parametrize("wish", WISHES, ids=lambda wish: next(iter(wish)))
@pytest.mark.parametrize("kind", ["anthropic", "vertex"])
def test_a_search_of_anthropics_callers_is_anthropics_own_tool(kind: str, wish: dict[str, Any]) -> None:
    body, made = translated(kind, **wish)
    assert body["tools"] == [TOOL]
    assert not body.keys() & {"web_search", "web_search_options", "plugins", "extra_body"}
    assert made.facts.warnings == []


@pytest.mark.parametrize("wish", WISHES, ids=lambda wish: next(iter(wish)))
def test_elsewhere_it_is_the_search_of_the_provider(wish: dict[str, Any]) -> None:
    body, _ = translated("google", **wish)
    assert body["tools"] == [{"googleSearch": {}}]
    body, _ = translated("openai", **wish)
    assert body["web_search_options"] == {}


def test_what_the_search_is_told_is_translated_and_the_rest_is_a_warning() -> None:
    wish = {"engine": "exa", "max_results": 3, "max_steps": 2}
    body, made = translated("anthropic", web_search=wish, tools=[MINE])
    assert body["tools"] == [{**TOOL, "max_uses": 2}, MINE]
    assert made.facts.warnings == [
        "web_search.engine was dropped: the provider's own search does not take it",
        "max_results of the web search was dropped: Anthropic's search does not take it",
    ]


def test_the_callers_own_tool_stays_as_it_is() -> None:
    own = {**TOOL, "type": "web_search_20260209", "max_uses": 9}
    body, _ = translated("anthropic", web_search=True, tools=[own])
    assert body["tools"] == [own]
    body, _ = translated("anthropic", web_search=False)
    assert "tools" not in body


def test_what_cannot_be_searched_is_passed_over_or_refused() -> None:
    with pytest.raises(Untranslatable, match="has the name"):
        translated("anthropic", web_search=True, tools=[{**MINE, "name": "web_search"}])
    with pytest.raises(Untranslatable):
        translated("mistral", web_search=True)
    with pytest.raises(InvalidRequest) as odd:
        translated("anthropic", web_search="yes")
    assert odd.value.param == "web_search"


def test_a_search_inside_extra_body_is_not_lost_in_the_responses_api() -> None:
    target = candidate("openai/gpt-5", "openai")
    body = json.dumps(question("responses", extra_body={"web_search": True})).encode()
    sent = dialect_of("responses").read(body, {}).translate(target).request("key")
    assert sent is not None
    assert json.loads(sent.body)["tools"] == [{"type": "web_search"}]
    assert translated("google", "responses", extra_body={"web_search": True})[0]["tools"] == [{"googleSearch": {}}]


@pytest.mark.parametrize("kind", ["anthropic", "google", "openai"])
@pytest.mark.parametrize("api", ["messages", "responses", "chat.completions"])
def test_compression_is_accepted_and_the_loss_is_told(api: str, kind: str) -> None:
    turns = [{"role": "user", "content": "x", "compression": {"aggressiveness": 0.7}}]
    name = "input" if api == "responses" else "messages"
    body, made = translated(kind, api, **{name: turns})
    assert "compression" not in json.dumps(body)
    assert made.facts.warnings == [NO_COMPRESSION]
