"""Bodies that nobody would write: they are translated, refused or called untranslatable, and never a crash."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.core.errors import InvalidRequest
from services.core.policy.documents import MessageTemplate, Reasoning, TextGenerationConfig
from services.dataplane.dialects.registry import dialect_of
from services.dataplane.translation import Untranslatable
from tests.unit.dataplane.build import candidate

TARGETS = [
    candidate("openai/gpt-5", "openai"),
    candidate("local/llama", "openai_compatible"),
    candidate("mistral/magistral-medium", "mistral", templates=(MessageTemplate("developer", "x"),)),
    candidate("cohere/command-a-reasoning", "cohere"),
    candidate("azure/o4-mini", "azure_openai"),
    candidate("anthropic/claude-sonnet-4-5", "anthropic"),
    candidate("anthropic/claude-sonnet-5-5", "anthropic"),
    candidate(
        "anthropic/claude-sonnet-4-5",
        "anthropic",
        generation=TextGenerationConfig(max_tokens=2_000, temperature=0.5, reasoning=Reasoning("high")),
        templates=(MessageTemplate("system", "x {{a}}"), MessageTemplate("user", "y")),
    ),
]

VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5_000),
    st.just(2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["", " ", "text", "auto", "high", "user", "data:image/png;base64,AA", "\ud7ff\U0001f642"]),
    st.just([]),
    st.just({}),
    st.lists(st.sampled_from(["x", 1, None, {}]), max_size=2),
)


def object_of(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """An object with some of these fields, each as it should be or as it should not, or no object at all."""
    return st.one_of(
        st.fixed_dictionaries({}, optional={name: st.one_of(good, VALUES) for name, good in fields.items()}), VALUES
    )


TEXTS = st.sampled_from(["", " ", "text", "é"])
CACHE = object_of(type=st.just("ephemeral"))
CHAT_PARTS = st.one_of(
    object_of(type=st.just("text"), text=TEXTS, cache_control=CACHE),
    object_of(type=st.just("image_url"), image_url=object_of(url=TEXTS, detail=TEXTS)),
    object_of(type=st.sampled_from(["refusal", "input_audio", "file"]), refusal=TEXTS),
)
CHAT_CALLS = object_of(id=TEXTS, type=st.just("function"), function=object_of(name=TEXTS, arguments=TEXTS))
CHAT_MESSAGES = object_of(
    role=st.sampled_from(["system", "developer", "user", "assistant", "tool", "function"]),
    content=st.one_of(TEXTS, st.lists(CHAT_PARTS, max_size=2)),
    tool_calls=st.lists(CHAT_CALLS, max_size=2),
    function_call=object_of(name=TEXTS, arguments=TEXTS),
    reasoning_details=st.lists(object_of(type=st.just("reasoning.text"), text=TEXTS, signature=TEXTS), max_size=2),
    reasoning_content=TEXTS,
    refusal=TEXTS,
    name=TEXTS,
    tool_call_id=TEXTS,
    cache_control=CACHE,
)
CHAT = st.fixed_dictionaries(
    {"model": st.just("m"), "messages": st.lists(CHAT_MESSAGES, max_size=4)},
    optional={
        "tools": st.lists(object_of(type=st.just("function"), function=object_of(name=TEXTS)), max_size=2),
        "tool_choice": object_of(type=st.just("function"), function=object_of(name=TEXTS)),
        "reasoning": object_of(effort=TEXTS, max_tokens=st.integers(0, 9_000)),
        "response_format": object_of(type=st.just("json_schema"), json_schema=object_of(schema=object_of(type=TEXTS))),
        "extra_body": object_of(reasoning=object_of(effort=TEXTS), metadata=object_of(a=TEXTS)),
        **dict.fromkeys(
            [
                *("max_tokens", "max_completion_tokens", "temperature", "top_p", "top_k", "stop", "seed", "n", "user"),
                *("reasoning_effort", "parallel_tool_calls", "stream_options", "modalities", "logit_bias", "logprobs"),
                *("metadata", "store", "frequency_penalty", "functions"),
            ],
            VALUES,
        ),
    },
)
BLOCKS = st.one_of(
    object_of(type=st.just("text"), text=TEXTS, cache_control=CACHE),
    object_of(type=st.just("image"), source=object_of(type=st.sampled_from(["base64", "url"]), data=TEXTS, url=TEXTS)),
    object_of(type=st.just("thinking"), thinking=TEXTS, signature=TEXTS),
    object_of(type=st.just("redacted_thinking"), data=TEXTS),
    object_of(type=st.just("tool_use"), id=TEXTS, name=TEXTS, input=object_of(a=TEXTS)),
    object_of(
        type=st.just("tool_result"), tool_use_id=TEXTS, content=st.lists(object_of(type=st.just("text")), max_size=2)
    ),
)
MESSAGES = st.fixed_dictionaries(
    {
        "model": st.just("m"),
        "max_tokens": st.one_of(st.integers(1, 9_000), VALUES),
        "messages": st.lists(
            object_of(
                role=st.sampled_from(["user", "assistant", "system"]),
                content=st.one_of(TEXTS, st.lists(BLOCKS, max_size=2)),
            ),
            max_size=4,
        ),
    },
    optional={
        "system": st.one_of(TEXTS, st.lists(BLOCKS, max_size=2)),
        "tools": st.lists(object_of(name=TEXTS, input_schema=object_of(type=st.just("object"))), max_size=2),
        "tool_choice": object_of(type=st.sampled_from(["auto", "any", "tool", "none"]), name=TEXTS),
        "thinking": object_of(type=st.sampled_from(["enabled", "adaptive", "disabled"]), budget_tokens=st.integers()),
        "output_config": object_of(effort=TEXTS, format=object_of(type=st.just("json_schema"))),
        "metadata": object_of(user_id=TEXTS),
        **dict.fromkeys(["temperature", "top_p", "top_k", "stop_sequences", "cache_control", "container"], VALUES),
    },
)


def survives(api: str, body: dict[str, Any]) -> None:
    data = json.dumps(body).encode()
    for target in TARGETS:
        try:
            inbound = dialect_of(api).read(data, {})
            inbound.condition_messages()
            sent = inbound.translate(target).request("key")
        except (InvalidRequest, Untranslatable):
            continue
        assert json.loads(sent.body)["model"] == target.target.upstream_model


@settings(max_examples=300)
@given(CHAT)
def test_no_chat_body_crashes_a_translation(body: dict[str, Any]) -> None:
    survives("chat.completions", body)


@settings(max_examples=300)
@given(MESSAGES)
def test_no_messages_body_crashes_a_translation(body: dict[str, Any]) -> None:
    survives("messages", body)


@pytest.mark.parametrize("api", ["chat.completions", "messages"])
@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"model": "m", "max_tokens": 1}, "messages"),
        ({"model": "m", "max_tokens": 1, "messages": "hi"}, "messages"),
        ({"max_tokens": 1, "messages": []}, "model"),
        ({"model": 5, "max_tokens": 1, "messages": []}, "model"),
        ({"model": "m", "max_tokens": 1, "messages": [], "models": "x"}, "models"),
    ],
)
def test_what_routing_needs_is_checked_before_anything_is_sent(api: str, body: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        dialect_of(api).read(json.dumps(body).encode(), {})
    assert caught.value.param == param


def test_each_dialect_names_its_own_required_fields() -> None:
    with pytest.raises(InvalidRequest, match="max_tokens: Field required"):
        dialect_of("messages").read(b'{"model":"m","messages":[]}', {})
    with pytest.raises(InvalidRequest, match="`stream` must be true or false"):
        dialect_of("chat.completions").read(b'{"model":"m","messages":[],"stream":"yes"}', {})
    with pytest.raises(InvalidRequest, match="not a ChatRequest"):
        dialect_of("typed").read(b"\xff\xff", {})
    with pytest.raises(InvalidRequest, match="`model` is missing"):
        dialect_of("typed").read(b"", {})
