"""What vendors and models refuse is renamed, dropped with a word about it, or refused before it is sent."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from services.core.policy.provider_types import PROVIDER_TYPES
from services.core.policy.snapshot import CompiledProvider, Target
from services.dataplane.members import Members, join_members, split_members
from services.dataplane.providers.openai import OpenAiCodec
from services.dataplane.providers.openai_fit import fit
from services.dataplane.translation import Untranslatable

HELLO = [{"role": "user", "content": "Hi"}]


def target(kind: str, model: str = "m") -> Target:
    return Target(f"p/{model}", CompiledProvider("p", kind, "https://example.com/v1"), model)


def fitted(kind: str, model: str = "m", **members: Any) -> tuple[dict[str, Any], list[str]]:
    """The body and the warnings, for raw members; plain values give the same."""
    body = {"messages": HELLO, **members}
    raw: Members = split_members(json.dumps(body).encode())
    warnings = fit(raw, target(kind, model))
    plain = {**body}
    if "messages" not in members:
        assert fit(plain, target(kind, model)) == warnings
        assert plain == json.loads(join_members(raw))
    return json.loads(join_members(raw)), warnings


@pytest.mark.parametrize(
    "model", ["o1", "o3-mini", "o4-mini-2025-04-16", "gpt-5", "gpt-5-nano", "gpt-5.2", "gpt-5.1-codex"]
)
def test_models_that_reason_get_the_limit_by_its_newer_name(model: str) -> None:
    body, warnings = fitted("openai", model, max_tokens=9)
    assert body == {"messages": HELLO, "max_completion_tokens": 9}
    assert warnings == ["max_tokens was sent as max_completion_tokens"]
    body, warnings = fitted("openai", model, max_tokens=9, max_completion_tokens=8)
    assert body == {"messages": HELLO, "max_completion_tokens": 8}
    assert warnings == ["max_tokens was dropped: max_completion_tokens says it"]


@pytest.mark.parametrize(
    "model", ["gpt-4o", "gpt-4.1", "gpt-5-chat-latest", "chatgpt-4o-latest", "o11", "ft:gpt-4.1:x"]
)
def test_other_models_keep_what_they_were_sent(model: str) -> None:
    sent = {"max_tokens": 9, "temperature": 0.3, "logprobs": True, "top_p": 0.1, "stop": ["x"]}
    assert fitted("openai", model, **sent) == ({"messages": HELLO, **sent}, [])


@pytest.mark.parametrize("kind", [k for k, v in PROVIDER_TYPES.items() if not v.quirks.openai_models])
def test_the_names_of_models_say_nothing_elsewhere(kind: str) -> None:
    body, warnings = fitted(kind, "gpt-5", top_p=0.5, max_tokens=9)
    assert (body, warnings) == ({"messages": HELLO, "top_p": 0.5, "max_tokens": 9}, [])


def test_models_that_reason_lose_what_they_refuse_but_for_its_default() -> None:
    told = "was dropped: the model gpt-5 refuses it"
    sent = {"temperature": 0.3, "top_p": 0.1, "presence_penalty": 1, "frequency_penalty": 0, "seed": 3}
    body, warnings = fitted("openai", "gpt-5", **sent)
    assert body == {"messages": HELLO, "seed": 3}
    assert warnings == [f"{name} {told}" for name in ("temperature", "top_p", "presence_penalty")]
    unsaid = {"temperature": 1, "top_p": None, "logprobs": False, "logit_bias": {}, "top_logprobs": None}
    assert fitted("openai", "gpt-5", **unsaid) == ({"messages": HELLO}, [])


@pytest.mark.parametrize(("effort", "kept"), [(None, True), ("none", True), ("low", False)])
def test_from_5_1_on_only_reasoning_itself_refuses_sampling(effort: str | None, kept: bool) -> None:
    more = {} if effort is None else {"reasoning_effort": effort}
    body, warnings = fitted("openai", "gpt-5.1", temperature=0.3, presence_penalty=1, **more)
    assert ("temperature" in body, bool(warnings)) == (kept, not kept)
    assert body["presence_penalty"] == 1


@pytest.mark.parametrize(
    ("kind", "model", "sent"),
    [
        ("openai", "gpt-5", {"logprobs": True}),
        ("openai", "gpt-5", {"logit_bias": {"1": 2}}),
        ("openai", "o4-mini", {"stop": "x"}),
        ("groq", "m", {"top_logprobs": 0}),
        ("cerebras", "m", {"logit_bias": {"1": 2}}),
    ],
)
def test_what_the_answer_depends_on_is_refused_before_it_is_sent(kind: str, model: str, sent: dict[str, Any]) -> None:
    with pytest.raises(Untranslatable, match=f"`{next(iter(sent))}` is refused by"):
        fitted(kind, model, **sent)


def test_fields_that_a_vendor_refuses_are_dropped() -> None:
    body, warnings = fitted("cerebras", frequency_penalty=0.5, temperature=0.5)
    assert body == {"messages": HELLO, "temperature": 0.5}
    assert warnings == ["frequency_penalty was dropped: cerebras refuses it"]


@pytest.mark.parametrize("kind", ["deepseek", "alibaba", "zai", "perplexity"])
def test_the_role_developer_is_system_where_it_is_refused_and_other_messages_keep_their_bytes(kind: str) -> None:
    sent = b'[{"role" : "developer","content":"Be \\u00fc"}, {"role":"user","content" : 1.00}, 5]'
    raw: Members = {"messages": msgspec.Raw(sent)}
    assert fit(raw, target(kind)) == []
    assert bytes(raw["messages"]) == b'[{"role":"system","content":"Be \\u00fc"},{"role":"user","content" : 1.00},5]'
    raw = {"messages": msgspec.Raw(sent)}
    fit(raw, target("openai_compatible"))
    assert bytes(raw["messages"]) == sent


def test_names_of_authors_are_dropped_where_they_are_refused() -> None:
    sent = [{"role": "user", "content": "Hi", "name": "ada"}, {"role": "tool", "tool_call_id": "1", "content": "{}"}]
    body, _ = fitted("groq", messages=sent)
    assert body["messages"] == [{"role": "user", "content": "Hi"}, sent[1]]


def test_every_vendor_is_called_where_its_chat_completions_are() -> None:
    for kind, row in PROVIDER_TYPES.items():
        if row.protocol == "openai_compatible":
            sent = OpenAiCodec().request(target(kind), "k", b"", {}, stream=False)
            assert sent.url == f"https://example.com/v1{'/chat' if kind == 'writer' else '/chat/completions'}"
            assert not row.base_url.endswith("/")


def test_own_protocols_come_first_then_the_alphabet() -> None:
    names = list(PROVIDER_TYPES)
    first = names.index("ai21")
    assert {"openai", "openai_compatible", "anthropic"} <= set(names[:first])
    assert names[first:] == sorted(names[first:])
    assert [k for k, v in PROVIDER_TYPES.items() if v.protocol == "openai_compatible" and not v.base_url] == [
        "openai_compatible", "cloudflare", "databricks", "snowflake",
    ]  # fmt: skip
