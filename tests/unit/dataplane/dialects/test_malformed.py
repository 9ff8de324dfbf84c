"""Requests that are malformed, and requests that another vendor cannot take: who is at fault, and in which field."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from services.core.errors import FailureKind, InvalidRequest
from services.dataplane.dialects.registry import dialect_of
from services.dataplane.translation import Untranslatable
from tests.unit.dataplane.build import candidate

OTHER = {"chat.completions": "anthropic", "messages": "openai"}
USER = {"role": "user", "content": "Hola"}


def translate(api: str, change: dict[str, Any]) -> Any:
    """What the other vendor would be sent."""
    body = {"model": "m", "max_tokens": 9, "messages": [USER], **change}
    kind = OTHER[api]
    translation = dialect_of(api).read(msgspec.json.encode(body), {}).translate(candidate(f"{kind}/m", kind))
    return msgspec.json.decode(translation.request("key").body)


def said(**message: Any) -> dict[str, Any]:
    return {"messages": [{**USER, **message}]}


def replied(**message: Any) -> dict[str, Any]:
    return {"messages": [USER, {"role": "assistant", **message}, USER]}


def part(**part: Any) -> dict[str, Any]:
    return said(content=[part])


MALFORMED_CHAT: list[tuple[dict[str, Any], str]] = [
    ({"messages": None}, "messages"),
    ({"messages": {}}, "messages"),
    ({"messages": ["Hola"]}, "messages[0]"),
    (said(role="robot"), "messages[0].role"),
    (said(role=None), "messages[0].role"),
    (said(content=3), "messages[0].content"),
    (said(content=["Hola"]), "messages[0].content[0]"),
    (part(type="image_url"), "messages[0].content[0].image_url.url"),
    (part(type="image_url", image_url={"url": 3}), "messages[0].content[0].image_url.url"),
    (part(type="image_url", image_url="data:image/png,raw"), "messages[0].content[0].image_url.url"),
    (replied(tool_calls="weather"), "messages[1].tool_calls"),
    (replied(tool_calls=[{}]), "messages[1].tool_calls[0].function.name"),
    (replied(tool_calls=[{"function": {"name": 3}}]), "messages[1].tool_calls[0].function.name"),
    (
        replied(tool_calls=[{"function": {"name": "f", "arguments": 3}}]),
        "messages[1].tool_calls[0].function.arguments",
    ),
    (replied(function_call="f"), "messages[1].function_call.function.name"),
    (replied(reasoning_details="x"), "messages[1].reasoning_details"),
    ({"tools": {}}, "tools"),
    ({"tools": [{"type": "function"}]}, "tools[0].function.name"),
    ({"tools": [{"function": {"name": "f", "parameters": []}}]}, "tools[0].function.parameters"),
    ({"response_format": "json"}, "response_format"),
    ({"temperature": "hot"}, "temperature"),
    ({"max_tokens": "9"}, "max_tokens"),
    ({"stop": {}}, "stop"),
    ({"stop": [3]}, "stop"),
    (part(type="input_audio"), "messages[0].content[0].input_audio.data"),
    (part(type="input_audio", input_audio={"format": "wav"}), "messages[0].content[0].input_audio.data"),
    (part(type="video_url"), "messages[0].content[0].video_url.url"),
    (part(type="file"), "messages[0].content[0].file"),
    (part(type="file", file={"filename": "a.pdf"}), "messages[0].content[0].file"),
    (part(type="file", file={"file_data": "data:x"}), "messages[0].content[0].file.file_data"),
    ({"functions": [{"description": "f"}]}, "functions[0].name"),
    ({"functions": [{"name": "f"}], "function_call": 3}, "function_call"),
    ({"tool_choice": "some"}, "tool_choice"),
    ({"logit_bias": []}, "logit_bias"),
    ({"logit_bias": {"5": "x"}}, "logit_bias.5"),
    ({"verbosity": "loud"}, "verbosity"),
    ({"service_tier": 3}, "service_tier"),
    ({"modalities": "text"}, "modalities"),
    ({"web_search_options": 3}, "web_search_options"),
    ({"web_search_options": {"search_context_size": "tiny"}}, "web_search_options.search_context_size"),
    ({"web_search_options": {"user_location": "here"}}, "web_search_options.user_location"),
    ({"web_search": {"max_results": "many"}}, "web_search.max_results"),
    ({"plugins": {"id": "web"}}, "plugins"),
]


@pytest.mark.parametrize(("change", "param"), MALFORMED_CHAT, ids=[p for _, p in MALFORMED_CHAT])
def test_a_malformed_chat_request_is_the_callers_fault_by_its_field(change: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as fault:
        translate("chat.completions", change)
    assert fault.value.param == param
    assert param in fault.value.message


MALFORMED_MESSAGES: list[tuple[dict[str, Any], str]] = [
    ({"messages": "Hola"}, "messages"),
    (said(role="developer"), "messages.0.role"),
    (said(content=3), "messages.0.content"),
    (said(content=["Hola"]), "messages.0.content[0]"),
    ({"tools": [{}]}, "tools.0.name"),
    ({"tools": [{"name": "f", "input_schema": []}]}, "tools.0.input_schema"),
    ({"tools": [{"name": "f"}], "tool_choice": {"type": "tool"}}, "tool_choice.name"),
    ({"tools": [{"name": "f"}], "tool_choice": {"type": "required"}}, "tool_choice.type"),
    ({"max_tokens": "9"}, "max_tokens"),
    ({"top_p": []}, "top_p"),
    ({"stop_sequences": "x"}, "stop_sequences"),
]


@pytest.mark.parametrize(("change", "param"), MALFORMED_MESSAGES, ids=[p for _, p in MALFORMED_MESSAGES])
def test_a_malformed_messages_request_is_the_callers_fault_by_its_field(change: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as fault:
        translate("messages", change)
    assert fault.value.param == param


TOOL = {"type": "function", "function": {"name": "f"}}

UNTRANSLATABLE: list[tuple[str, dict[str, Any], str]] = [
    ("chat.completions", part(type="input_audio", input_audio={"data": "x"}), "audio input"),
    ("chat.completions", part(type="video_url", video_url={"url": "https://x.example/v.mp4"}), "video input"),
    ("chat.completions", part(type="file", file={"file_id": "file-x"}), "a file by its id"),
    ("chat.completions", part(type="file", file={"file_data": "data:application/msword;base64,eA=="}), "msword"),
    ("chat.completions", part(type="hologram"), "'hologram'"),
    ("chat.completions", {"audio": {"voice": "alloy"}}, "`audio`"),
    ("chat.completions", {"moderation": {"model": "x"}}, "`moderation`"),
    ("chat.completions", replied(audio={"id": "x"}), "audio"),
    ("chat.completions", replied(tool_calls=[{"type": "custom", "custom": {"name": "f"}}]), "custom"),
    ("chat.completions", {"n": 2}, "`n`"),
    ("chat.completions", {"modalities": ["text", "image"]}, "answer with no image"),
    ("chat.completions", {"tools": [{"type": "custom", "custom": {"name": "f"}}]}, "custom"),
    ("chat.completions", {"tools": [TOOL], "tool_choice": {"type": "allowed_tools"}}, "allowed_tools"),
    ("messages", part(type="document", source={"type": "page"}), "messages.0.content.0.source"),
    ("messages", part(type="document", source={"type": "file", "file_id": "file_1"}), "a file by its id"),
    ("messages", part(type="document", source={"type": "url", "url": "https://x.example/a.pdf"}), "by value only"),
    ("messages", part(type="image", source={"type": "file", "file_id": "file_1"}), "a file by its id"),
    ("messages", part(type="container_upload", file_id="file_1"), "container_upload"),
    ("messages", replied(content=[{"type": "server_tool_use", "name": "code_execution"}]), "server_tool_use"),
    ("messages", {"tools": [{"type": "code_execution_20250825", "name": "code_execution"}]}, "code_execution"),
    ("messages", {"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "search models only"),
    (
        "chat.completions",
        part(type="text", text="x") | {"plugins": [{"id": "web", "include_domains": ["a"], "exclude_domains": ["b"]}]},
        "blocked_domains",
    ),
    ("messages", {"container": "x"}, "container"),
    ("messages", {"mcp_servers": [{"name": "x"}]}, "mcp_servers"),
    ("messages", {"output_config": {"format": {"type": "xml"}}}, "output_config"),
]


@pytest.mark.parametrize(("api", "change", "told"), UNTRANSLATABLE, ids=[f"{a}-{t}" for a, _, t in UNTRANSLATABLE])
def test_what_another_vendor_cannot_take_is_a_reason_to_try_the_next_target(
    api: str, change: dict[str, Any], told: str
) -> None:
    with pytest.raises(Untranslatable) as refused:
        translate(api, change)
    assert refused.value.failure.kind is FailureKind.UNSUPPORTED
    assert told in refused.value.failure.message


def test_reasoning_goes_back_to_who_signed_it_and_only_that() -> None:
    details = [
        {"type": "reasoning.summary", "summary": "in short"},
        {"type": "reasoning.encrypted", "data": "x"},
        {"type": "reasoning.text", "text": "at length", "signature": "s"},
    ]
    sent = translate("chat.completions", replied(content="so", reasoning_details=details))
    assert sent["messages"][1]["content"] == [
        {"type": "redacted_thinking", "data": "x"},
        {"type": "thinking", "thinking": "at length", "signature": "s"},
        {"type": "text", "text": "so"},
    ]
