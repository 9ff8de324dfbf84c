"""Judges translations by the types of the vendors' own SDKs: no field that they lack, no value that they refuse."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import anthropic.types as anthropic_types
import openai.types.chat as openai_types
from anthropic.types import message_create_params
from mistralai.client.models import ChatCompletionRequest
from openai.types.chat import completion_create_params
from openai.types.responses import Response, ResponseStreamEvent, response_create_params
from pydantic import TypeAdapter

from tests.golden.translation.cohere_types import check_cohere
from tests.golden.translation.google_types import check_contents, check_google
from tests.support.converse import check_converse_request
from tests.support.streams import read_contents, read_responses

_GONE = {"temperature", "top_p", "top_k"}
"""Anthropic's SDK has them no more; models up to 4.6 still take them."""


@cache
def _adapter(provider: str, *, stream: bool) -> TypeAdapter[Any]:
    if provider.startswith("anthropic"):
        if stream:
            return TypeAdapter(message_create_params.MessageCreateParamsStreaming)
        return TypeAdapter(message_create_params.MessageCreateParamsNonStreaming)
    if provider.startswith("responses"):
        if stream:
            return TypeAdapter(response_create_params.ResponseCreateParamsStreaming)
        return TypeAdapter(response_create_params.ResponseCreateParamsNonStreaming)
    if stream:
        return TypeAdapter(completion_create_params.CompletionCreateParamsStreaming)
    return TypeAdapter(completion_create_params.CompletionCreateParamsNonStreaming)


def check_request(provider: str, body: dict[str, Any], beyond: set[str]) -> None:
    """The body is one that the provider's own SDK could have sent.

    Args:
        beyond: Members, anywhere in it, that the types lack although callers send them; "*": do not look.
    """
    if "*" in beyond:
        return
    if provider.startswith("mistral"):
        read = ChatCompletionRequest.model_validate(body).model_dump(mode="json", by_alias=True, exclude_unset=True)
        assert read == body
        return
    if provider in {"vertex", "google"} or provider.startswith("google_"):
        check_google(body)
        return
    if provider == "vertex_claude":
        # The model is in the address, and the version in the body.
        assert body["anthropic_version"] == "vertex-2023-10-16"
        assert "model" not in body
        named = {n: v for n, v in body.items() if n != "anthropic_version"}
        check_request("anthropic", {"model": "claude", **named}, beyond)
        return
    if provider.startswith("cohere"):
        check_cohere(body)
        return
    if provider.startswith("bedrock"):
        check_converse_request(body)
        return
    known = _without(body, beyond | (_GONE if provider.startswith("anthropic") else set()))
    read = _drained(_adapter(provider, stream=body.get("stream") is True).validate_python(known))
    assert read == known


def _without(value: Any, names: set[str]) -> Any:
    if isinstance(value, dict):
        return {name: _without(item, names) for name, item in value.items() if name not in names}
    return [_without(item, names) for item in value] if isinstance(value, list) else value


def _drained(value: Any) -> Any:
    """`value` with the lazy lists of the SDKs' `Iterable` fields read out, which is when they are checked."""
    if isinstance(value, dict):
        return {name: _drained(item) for name, item in value.items()}
    if isinstance(value, (str, bytes, int, float, type(None))):
        return value
    return [_drained(item) for item in value]


def check_answer(api: str, body: dict[str, Any]) -> None:
    """The body reads as the SDK's answer type, strictly."""
    if api == "chat":
        openai_types.ChatCompletion.model_validate({**body, "metadata": None})
    elif api == "messages":
        anthropic_types.Message.model_validate(body)
    elif api == "responses":
        Response.model_validate(body)
    elif api == "contents":
        check_contents(body)


def check_frames(api: str, frames: list[Any]) -> None:
    """Every frame reads as the SDK's event type, and the blocks of messages nest as they must."""
    if api == "chat":
        assert frames[-1]["data"] == "[DONE]"
        for frame in frames[:-1]:
            openai_types.ChatCompletionChunk.model_validate(frame["data"])
    elif api == "messages":
        adapter: TypeAdapter[Any] = TypeAdapter(anthropic_types.RawMessageStreamEvent)
        events = [f["data"] for f in frames if f["data"]["type"] != "ping"]
        for event in events:
            adapter.validate_python(event)
        _check_blocks(events)
    elif api == "responses":
        event_types: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
        for frame in frames:
            event_types.validate_python(frame["data"])
        body = "".join(f"event: {frame['event']}\ndata: {json.dumps(frame['data'])}\n\n" for frame in frames)
        assert read_responses(body).whole
    elif api == "contents":
        for frame in frames:
            check_contents(frame["data"])
        assert read_contents("".join(f"data: {json.dumps(frame['data'])}\n\n" for frame in frames)).whole


def _check_blocks(events: list[Any]) -> None:
    assert [e["type"] for e in events if e["type"].startswith("message_")] == [
        "message_start",
        "message_delta",
        "message_stop",
    ]
    assert events[0]["type"] == "message_start"
    opened = -1
    current: int | None = None
    for event in events:
        if event["type"] == "content_block_start":
            assert current is None
            assert event["index"] == opened + 1
            current = opened = event["index"]
        elif event["type"] == "content_block_delta":
            assert event["index"] == current
        elif event["type"] == "content_block_stop":
            assert event["index"] == current
            current = None
    assert current is None
