"""The fields that callers may send, by dialect, each with a value to probe it with.

Names are those of the official specifications; `test_coverage.py` compares them where the specifications are at
hand. A value is one that says something: not the default, and not what the base request says already.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.repo.pages.coverage_form import MARK, PDF, PNG, SCHEMA, Change, Pair, Probes
from tests.repo.pages.coverage_gemini import GEMINI, GEMINI_WITH

_FUNCTION = {"name": "time", "parameters": SCHEMA}
_TOOL = {"type": "function", "function": _FUNCTION}
_ASKED = {"role": "user", "content": "Hi"}


def _user(*parts: Any) -> Change:
    return {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}, *parts]}]}


def _said(part: Any) -> Pair:
    """A part of a user's message, in both of the dialects in JSON."""
    return _user(), _user(part)


def _turns(**message: Any) -> Change:
    return {"messages": [_ASKED, {"role": "assistant", "content": "Hello", **message}, {**_ASKED, "content": "And?"}]}


def _answered(**message: Any) -> Pair:
    return _turns(), _turns(**message)


def _alone(change: Change) -> Pair:
    return {}, change


_CALL = {"id": "c1", "type": "function", "function": {"name": "time", "arguments": '{"a":"b"}'}}
_RESULT = {"role": "tool", "tool_call_id": "c1", "content": "Noon"}


def _called(call: Change = _CALL, result: Change = _RESULT) -> Change:
    turn = {"role": "assistant", "content": None, "tool_calls": [call]}
    return {"messages": [_ASKED, turn, result], "tools": [_TOOL]}


_OPENAI_FIELDS: Mapping[str, Any] = {
    "messages": [{"role": "user", "content": "Hello"}],
    "model": "p/m",
    "audio": {"voice": "alloy", "format": "wav"},
    "frequency_penalty": 0.5,
    "function_call": {"name": "time"},
    "functions": [_FUNCTION],
    "logit_bias": {"50256": -100},
    "logprobs": True,
    "max_completion_tokens": 77,
    "max_tokens": 77,
    "metadata": {"team": "a"},
    "modalities": ["text", "audio"],
    "moderation": {"model": "omni-moderation-latest"},
    "n": 2,
    "parallel_tool_calls": False,
    "prediction": {"type": "content", "content": "Hi"},
    "presence_penalty": 0.5,
    "prompt_cache_key": "k",
    "prompt_cache_options": {"mode": "explicit"},
    "prompt_cache_retention": "24h",
    "reasoning_effort": "low",
    "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA, "strict": True}},
    "safety_identifier": "s",
    "seed": 7,
    "service_tier": "flex",
    "stop": ["END"],
    "store": True,
    "stream": True,
    "stream_options": {"include_usage": True},
    "temperature": 0.5,
    "tool_choice": {"type": "function", "function": {"name": "time"}},
    "tools": [_TOOL],
    "top_logprobs": 2,
    "top_p": 0.5,
    "user": "u",
    "verbosity": "low",
    "web_search_options": {"search_context_size": "low"},
}
_HOUSE_FIELDS: Mapping[str, Any] = {
    "cache_control": MARK,
    "debug": {"echo_upstream_body": True},
    "extra_body": {"models": ["a/b"]},
    "fallback": {"ttft_timeout": "900ms"},
    "ignore": ["a/b"],
    "image_config": {"aspect_ratio": "16:9"},
    "include_reasoning": True,
    "min_p": 0.1,
    "models": ["a/b"],
    "plugins": [{"id": "web"}],
    "provider": {"order": ["p"]},
    "reasoning": {"effort": "low"},
    "repetition_penalty": 1.1,
    "route": "fallback",
    "session_id": "s",
    "sort": ["price"],
    "stop_server_tools_when": [{"type": "step_count_is", "step_count": 3}],
    "top_a": 0.2,
    "top_k": 40,
    "trace": {"trace_name": "t"},
    "transforms": ["middle-out"],
    "usage": {"include": True},
    "web_search": {"max_results": 3},
}
_WITH: Mapping[str, Mapping[str, Any]] = {
    "function_call": {"functions": [_FUNCTION]},
    "tool_choice": {"tools": [_TOOL]},
    "parallel_tool_calls": {"tools": [_TOOL]},
    "stream_options": {"stream": True},
    "top_logprobs": {"logprobs": True},
}
"""What a field needs beside it to make sense; both requests have it."""

_ROUTED = "read by the router"
_CHAT_HERE: Mapping[str, str] = {
    "model": _ROUTED,
    "stream_options": "the router always asks for usage, and shows it as the caller wants",
    "include_reasoning": "kept by the router: reasoning is shown or not",
    "metadata": "for conditions of routing; the provider's only together with `store`",
    "session_id": "the sticky unit, unless `user` says it",
    "debug": "the router answers it",
    "usage": "the router always tells usage",
    "trace": "the router's own traces",
    **dict.fromkeys(("extra_body", "fallback", "ignore", "models", "provider", "route", "sort", "transforms"), _ROUTED),
}

_DETAIL = {"type": "reasoning.text", "text": "Hm.", "signature": "sig", "format": "anthropic-claude-v1", "index": 0}

CHAT = Probes(
    title="OpenAI's chat completions, with OpenRouter's and Inworld's fields",
    base={"model": "p/m", "messages": [_ASKED]},
    fields={**_OPENAI_FIELDS, **_HOUSE_FIELDS},
    parts={
        "text": _said({"type": "text", "text": "there"}),
        "image by address": _said({"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}),
        "image by value": _said({"type": "image_url", "image_url": {"url": PNG}}),
        "detail of an image": (
            _user({"type": "image_url", "image_url": {"url": PNG}}),
            _user({"type": "image_url", "image_url": {"url": PNG, "detail": "low"}}),
        ),
        "sound": _said({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}),
        "document by value": _said({"type": "file", "file": {"filename": "a.pdf", "file_data": PDF}}),
        "document by id": _said({"type": "file", "file": {"file_id": "file-abc"}}),
        "document by address": _said({"type": "file", "file": {"file_data": "https://example.com/a.pdf"}}),
        "video": _said({"type": "video_url", "video_url": {"url": "https://example.com/a.mp4"}}),
        "mark for the prompt cache": (
            _user({"type": "text", "text": "there"}),
            _user({"type": "text", "text": "there", "cache_control": MARK}),
        ),
        "compression": _alone({"messages": [{**_ASKED, "compression": {"aggressiveness": 0.5}}]}),
        "name of a participant": _alone({"messages": [{**_ASKED, "name": "ada"}]}),
        "role developer": _alone({"messages": [{"role": "developer", "content": "Be kind."}, _ASKED]}),
        "tool call and result": ({"tools": [_TOOL]}, _called()),
        "picture in a result": (
            _called(),
            _called(result={**_RESULT, "content": [{"type": "image_url", "image_url": {"url": PNG}}]}),
        ),
        "Google's proof of a call": (
            _called(),
            _called(call={**_CALL, "extra_content": {"google": {"thought_signature": "sig"}}}),
        ),
        "function call of the older form": _alone(
            {
                "messages": [
                    _ASKED,
                    {"role": "assistant", "content": None, "function_call": {"name": "time", "arguments": "{}"}},
                    {"role": "function", "name": "time", "content": "Noon"},
                ],
                "functions": [_FUNCTION],
            }
        ),
        "custom tool": _alone({"tools": [{"type": "custom", "custom": {"name": "f"}}]}),
        "choice among tools": (
            {"tools": [_TOOL]},
            {
                "tools": [_TOOL],
                "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [_TOOL]}},
            },
        ),
        "refusal": _answered(content=None, refusal="No."),
        "spoken answer by its id": _answered(content=None, audio={"id": "audio_1"}),
        "reasoning": _answered(reasoning_content="Hm."),
        "reasoning with Anthropic's proof": _answered(reasoning_details=[_DETAIL]),
        "beginning of an answer": _alone({"messages": [_ASKED, {"role": "assistant", "content": "Hel"}]}),
        "JSON without a schema": _alone({"response_format": {"type": "json_object"}}),
    },
    here=_CHAT_HERE,
    spec=frozenset(_OPENAI_FIELDS),
)


_USE = {"type": "tool_use", "id": "t1", "name": "time", "input": {"a": "b"}}
_ANSWER = {"type": "tool_result", "tool_use_id": "t1", "content": "Noon"}
_OWN_TOOL = {"name": "time", "input_schema": SCHEMA}
_IMAGE = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
_DOCUMENT = {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0x"}


def _used(result: Change) -> Change:
    turns = [_ASKED, {"role": "assistant", "content": [_USE]}, {"role": "user", "content": [result]}]
    return {"messages": turns, "tools": [_OWN_TOOL]}


def _thinking(*blocks: Any) -> Change:
    said = {"type": "text", "text": "Hello"}
    return {"messages": [_ASKED, {"role": "assistant", "content": [*blocks, said]}, {**_ASKED, "content": "And?"}]}


def _thought(*blocks: Any) -> Pair:
    return _thinking(), _thinking(*blocks)


_MESSAGES_FIELDS: Mapping[str, Any] = {
    "cache_control": MARK,
    "container": "container_1",
    "diagnostics": {"previous_message_id": "msg_1"},
    "inference_geo": "us",
    "max_tokens": 77,
    "messages": [{"role": "user", "content": "Hello"}],
    "metadata": {"user_id": "u"},
    "model": "p/m",
    "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}},
    "service_tier": "standard_only",
    "speed": "fast",
    "stop_sequences": ["END"],
    "stream": True,
    "system": "Be kind.",
    "thinking": {"type": "enabled", "budget_tokens": 2048},
    "tool_choice": {"type": "tool", "name": "time", "disable_parallel_tool_use": True},
    "tools": [_OWN_TOOL],
    "user_profile_id": "up_1",
    "workspace_id": "ws_1",
}
_MESSAGES_BETA: Mapping[str, Any] = {
    "betas": ["x"],
    "billing_policy": {"type": "x"},
    "compaction": {"type": "x"},
    "context_management": {"edits": []},
    "fallback_credit_token": "t",
    "fallbacks": [{"model": "x"}],
    "mcp_servers": [{"type": "url", "name": "x", "url": "https://example.com"}],
    "thread": {"type": "create"},
}
_MESSAGES_HOUSE: Mapping[str, Any] = {
    "extra_body": {"models": ["a/b"]},
    "models": ["a/b"],
    "temperature": 0.5,
    "top_k": 40,
    "top_p": 0.5,
}

MESSAGES = Probes(
    title="Anthropic's messages, with those of the beta and of older versions",
    base={"model": "p/m", "max_tokens": 4_000, "messages": [_ASKED]},
    fields={**_MESSAGES_FIELDS, **_MESSAGES_BETA, **_MESSAGES_HOUSE},
    parts={
        "image by address": _said({"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}),
        "image by value": _said({"type": "image", "source": _IMAGE}),
        "image by id": _said({"type": "image", "source": {"type": "file", "file_id": "file_1"}}),
        "document by value": _said({"type": "document", "source": _DOCUMENT}),
        "document as text": _said(
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Plain."}}
        ),
        "document in blocks": _said(
            {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "One."}]}}
        ),
        "document by address": _said(
            {"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}}
        ),
        "document by id": _said({"type": "document", "source": {"type": "file", "file_id": "file_1"}}),
        "citations of a document": (
            _user({"type": "document", "source": _DOCUMENT}),
            _user({"type": "document", "source": _DOCUMENT, "citations": {"enabled": True}}),
        ),
        "search result": _said(
            {
                "type": "search_result",
                "source": "https://example.com",
                "title": "A",
                "content": [{"type": "text", "text": "Found."}],
            }
        ),
        "mark for the prompt cache": (
            _user({"type": "text", "text": "there"}),
            _user({"type": "text", "text": "there", "cache_control": MARK}),
        ),
        "system message among the others": _alone(
            {"messages": [_ASKED, {"role": "system", "content": "Be kind."}, {"role": "user", "content": "And?"}]}
        ),
        "tool use and result": ({"tools": [_OWN_TOOL]}, _used(_ANSWER)),
        "failed result": (_used(_ANSWER), _used({**_ANSWER, "is_error": True})),
        "picture in a result": (
            _used(_ANSWER),
            _used({**_ANSWER, "content": [{"type": "image", "source": _IMAGE}]}),
        ),
        "document in a result": (
            _used(_ANSWER),
            _used({**_ANSWER, "content": [{"type": "document", "source": _DOCUMENT}]}),
        ),
        "thinking with Anthropic's signature": _thought({"type": "thinking", "thinking": "Hm.", "signature": "sig"}),
        "redacted thinking": _thought({"type": "redacted_thinking", "data": "enc"}),
        "web search": _alone({"tools": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 2}]}),
        "earlier web search": _thought(
            {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "a"}},
            {"type": "web_search_tool_result", "tool_use_id": "s1", "content": []},
        ),
        "code execution": _alone({"tools": [{"type": "code_execution_20250825", "name": "code_execution"}]}),
        "adaptive thinking": _alone({"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}),
        "beginning of an answer": _alone({"messages": [_ASKED, {"role": "assistant", "content": "Hel"}]}),
    },
    here={"model": _ROUTED, "models": _ROUTED, "extra_body": _ROUTED},
    spec=frozenset(_MESSAGES_FIELDS) | frozenset(_MESSAGES_BETA),
)

_FLAT_TOOL = {"type": "function", "name": "time", "parameters": SCHEMA, "strict": True}

WITH: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "chat.completions": _WITH,
    "messages": {"tool_choice": {"tools": [_OWN_TOOL]}},
    "responses": {
        "tool_choice": {"tools": [_FLAT_TOOL]},
        "parallel_tool_calls": {"tools": [_FLAT_TOOL]},
        "stream_options": {"stream": True},
    },
    "generateContent": GEMINI_WITH,
    "typed": {
        "tool_choice": {"tools": [{"name": "time"}]},
        "parallel_tool_calls": {"tools": [{"name": "time"}]},
        "top_logprobs": {"logprobs": True},
    },
}
"""What a field needs beside it, by API."""


def _parts(*parts: Any) -> Change:
    return {"messages": [{"role": "user", "parts": [{"text": "Hi"}, *parts]}]}


def _typed(*parts: Any) -> Pair:
    return _parts(), _parts(*parts)


TYPED = Probes(
    title="The typed gRPC API",
    base={"model": "p/m", "messages": [{"role": "user", "parts": [{"text": "Hi"}]}]},
    fields={
        "model": "p/m",
        "messages": [{"role": "user", "parts": [{"text": "Hello"}]}],
        "metadata": {"team": "a"},
        "user": "u",
        "models": ["a/b"],
        "tools": [{"name": "time", "parameters": SCHEMA}],
        "tool_choice": "time",
        "max_tokens": 77,
        "temperature": 0.5,
        "top_p": 0.5,
        "stop": ["END"],
        "seed": 7,
        "top_k": 40,
        "min_p": 0.1,
        "frequency_penalty": 0.5,
        "presence_penalty": 0.5,
        "repetition_penalty": 1.1,
        "logit_bias": {"50256": -100},
        "logprobs": True,
        "top_logprobs": 2,
        "parallel_tool_calls": False,
        "response_format": {"type": "json_schema", "name": "a", "schema": SCHEMA},
        "reasoning": {"effort": "low"},
        "verbosity": "low",
        "web_search": {"max_uses": 2},
        "modalities": ["text", "image"],
        "service_tier": "flex",
        "cache_key": "k",
        "provider_metadata": {"team": "a"},
    },
    parts={
        "image": _typed({"image": {"url": "https://example.com/a.png"}}),
        "sound": _typed({"audio": {"data": "AAAA", "format": "wav"}}),
        "video": _typed({"video": {"url": "https://example.com/a.mp4"}}),
        "document": _typed({"file": {"data": "JVBERi0x", "media_type": "application/pdf", "name": "a.pdf"}}),
        "mark for the prompt cache": (
            _parts({"text": "there"}),
            _parts({"text": "there", "cache_control": {"ttl": "1h"}}),
        ),
    },
    here={"model": _ROUTED, "models": _ROUTED, "metadata": "for conditions of routing"},
)

_FLAT_CALL = {"type": "function_call", "call_id": "c1", "name": "time", "arguments": '{"a":"b"}'}
_FLAT_RESULT = {"type": "function_call_output", "call_id": "c1", "output": "Noon"}
_RESPONSES_FIELDS: Mapping[str, Any] = {
    "input": "Hello",
    "model": "p/m",
    "background": True,
    "context_management": [{"type": "compaction", "compact_threshold": 9000}],
    "conversation": "conv_1",
    "include": ["reasoning.encrypted_content"],
    "instructions": "Be brief.",
    "max_output_tokens": 77,
    "max_tool_calls": 3,
    "metadata": {"team": "a"},
    "moderation": {"model": "omni-moderation-latest"},
    "parallel_tool_calls": False,
    "previous_response_id": "resp_1",
    "prompt": {"id": "pmpt_1"},
    "prompt_cache_key": "k",
    "prompt_cache_options": {"mode": "explicit"},
    "prompt_cache_retention": "24h",
    "reasoning": {"effort": "low", "summary": "auto"},
    "safety_identifier": "s",
    "service_tier": "flex",
    "store": True,
    "stream": True,
    "stream_options": {"include_obfuscation": False},
    "temperature": 0.5,
    "text": {"format": {"type": "json_schema", "name": "a", "schema": SCHEMA, "strict": True}, "verbosity": "low"},
    "tool_choice": {"type": "function", "name": "time"},
    "tools": [_FLAT_TOOL],
    "top_logprobs": 2,
    "top_p": 0.5,
    "truncation": "auto",
    "user": "u",
}
_RESPONSES_HOUSE: Mapping[str, Any] = {
    name: _HOUSE_FIELDS[name]
    for name in (
        "cache_control", "debug", "extra_body", "fallback", "ignore", "image_config", "models", "plugins", "provider",
        "route", "session_id", "sort", "stop_server_tools_when", "top_k", "trace", "transforms",
    )
} | {"frequency_penalty": 0.5, "presence_penalty": 0.5, "modalities": ["text", "image"]}  # fmt: skip


def _items(*parts: Any) -> Change:
    return {"input": [{"role": "user", "content": [{"type": "input_text", "text": "Hi"}, *parts]}]}


def _given(part: Any) -> Pair:
    return _items(), _items(part)


def _behind(*items: Any) -> Pair:
    """Items of the model's turn before another question."""
    asked, more = {"role": "user", "content": "Hi"}, {"role": "user", "content": "And?"}
    return {"input": [asked, more]}, {"input": [asked, *items, more]}


RESPONSES = Probes(
    title="OpenAI's Responses API",
    base={"model": "p/m", "input": [{"role": "user", "content": "Hi"}]},
    fields={**_RESPONSES_FIELDS, **_RESPONSES_HOUSE},
    parts={
        "picture": _given({"type": "input_image", "image_url": PNG, "detail": "auto"}),
        "picture's detail": (
            _items({"type": "input_image", "image_url": PNG, "detail": "auto"}),
            _items({"type": "input_image", "image_url": PNG, "detail": "high"}),
        ),
        "picture by id": _given({"type": "input_image", "file_id": "file-1", "detail": "auto"}),
        "document": _given({"type": "input_file", "filename": "a.pdf", "file_data": PDF}),
        "document by address": _given({"type": "input_file", "file_url": "https://example.com/a.pdf"}),
        "document by id": _given({"type": "input_file", "file_id": "file-1"}),
        "earlier answer": _behind({"role": "assistant", "content": "Hello"}),
        "refusal": _behind(
            {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}
        ),
        "call and result": (
            {"tools": [_FLAT_TOOL]},
            {"tools": [_FLAT_TOOL], **_behind(_FLAT_CALL, _FLAT_RESULT)[1]},
        ),
        "picture in a result": (
            _behind(_FLAT_CALL, {**_FLAT_RESULT, "output": [{"type": "input_text", "text": "a"}]})[1],
            _behind(_FLAT_CALL, {**_FLAT_RESULT, "output": [{"type": "input_image", "image_url": PNG}]})[1],
        ),
        "reasoning with OpenAI's proof": _behind(
            {"type": "reasoning", "summary": [], "encrypted_content": "gAAAAx"},
            {"role": "assistant", "content": "4"},
        ),
        "reasoning with another proof": _behind(
            {"type": "reasoning", "summary": [], "encrypted_content": "turnout:anthropic:signature::sig"},
            {"role": "assistant", "content": "4"},
        ),
        "web search": _alone({"tools": [{"type": "web_search", "search_context_size": "low"}]}),
        "earlier web search": _behind({"type": "web_search_call", "id": "ws_1", "status": "completed"}),
        "item by reference": _behind({"type": "item_reference", "id": "msg_1"}),
        "custom tool": _alone({"tools": [{"type": "custom", "name": "sh"}]}),
        "server tool": _alone({"tools": [{"type": "code_interpreter", "container": {"type": "auto"}}]}),
        "allowed tools": (
            {"tools": [_FLAT_TOOL, {**_FLAT_TOOL, "name": "day"}]},
            {
                "tools": [_FLAT_TOOL, {**_FLAT_TOOL, "name": "day"}],
                "tool_choice": {
                    "type": "allowed_tools",
                    "mode": "auto",
                    "tools": [{"type": "function", "name": "day"}],
                },
            },
        ),
    },
    here={
        **{name: told for name, told in _CHAT_HERE.items() if name in _RESPONSES_HOUSE or name == "model"},
        "metadata": "for conditions of routing, and repeated in the answer; text goes to providers of the same API",
        "include": "reasoning that can be handed back is always asked for, and always shown",
        "stream_options": "obfuscation is of OpenAI's own streams",
    },
    spec=frozenset(_RESPONSES_FIELDS),
)

PROBES: Mapping[str, Probes] = {
    "chat.completions": CHAT,
    "messages": MESSAGES,
    "responses": RESPONSES,
    "generateContent": GEMINI,
    "typed": TYPED,
}
"""By API."""
SAME_REQUESTS: Mapping[str, str] = {"openrouter.chat.completions": "chat.completions"}
"""Dialects whose requests are those of another one."""
