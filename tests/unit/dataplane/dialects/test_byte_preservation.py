"""Where the caller's dialect is the provider's protocol, everything but the model and our own fields keeps its bytes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.policy.documents import MessageTemplate
from services.core.policy.provider_types import quirks_of
from services.dataplane.dialects.registry import dialect_of
from services.dataplane.translation import Evidence, Translation
from services.wire.chat_facts import ROUTING_FIELDS
from tests.support.upstream import anthropic_answer, anthropic_events, openai_answer, openai_events
from tests.unit.dataplane.build import candidate
from tests.unit.dataplane.dialects.scan import members

EVIDENCE = Evidence({"generation_id": "g"}, 0.125, "openai/gpt-5", "g")
PROVIDERS = {"chat.completions": "openai", "messages": "anthropic"}
OURS = {"model", "extra_body", *ROUTING_FIELDS}
LOST = OURS | quirks_of("openai").refused
"""Members that do not arrive: ours, and what OpenAI refuses."""

ODD_MESSAGES = r"""[ {"content" :	"caf\u00e9 \ud83d\ude42 \/ \b\f" , "role":"user",
   "role" : "user"},{"role":"assistant","content":[ ]}, {"role":"user","content":"\u0000é"} ]""".encode()
ODD_TOOLS = rb"""[{"z":1,"a":{"minimum": 1.50e+3, "maximum":123456789012345678901234567890, "x":-0.0, "x":1E400}}]"""


def odd_body(api: str) -> bytes:
    head = b'{\n  "unknown" : { "b":1 , "a":2 },"model":"openai/gpt-5" ,"temperature":0.10, "models":["x/y"],\t'
    tail = b',"tools":' + ODD_TOOLS + b', "extra_body": {"metadata":{"a":1}},"seed":9007199254740993 ,"provider":{} }\n'
    limit = b'"max_tokens" :1024,' if api == "messages" else b'"top_p":1,'
    return head + limit + b'"messages":' + ODD_MESSAGES + tail


def translation(api: str, body: bytes, **more: Any) -> Translation:
    kind = PROVIDERS[api]
    return dialect_of(api).read(body, {}).translate(candidate(f"{kind}/up-1", kind, **more))


@pytest.mark.parametrize("api", PROVIDERS)
def test_a_request_keeps_every_byte_of_what_is_not_ours(api: str) -> None:
    body = odd_body(api)
    sent = members(translation(api, body).request("key").body)
    wanted = [(name, value) for name, value in members(body) if name not in OURS - {"model"}]
    assert [name for name, _ in sent] == [name for name, _ in wanted]
    assert dict(sent) == {**dict(wanted), "model": b'"up-1"'}
    # Two names inside one object, escapes, number spellings and white space are all there.
    assert dict(sent)["messages"] == ODD_MESSAGES
    assert dict(sent)["tools"] == ODD_TOOLS


@pytest.mark.parametrize("api", PROVIDERS)
def test_of_a_name_that_is_given_twice_the_last_one_is_sent_as_every_parser_reads_it(api: str) -> None:
    body = odd_body(api).replace(b'"temperature":0.10', b'"temperature":0.10,"temperature":0.20')
    sent = members(translation(api, body).request("key").body)
    assert [value for name, value in sent if name == "temperature"] == [b"0.20"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.dictionaries(st.text(max_size=8).filter(lambda name: name not in LOST), JSON, max_size=5),
    st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", "\t: ")]),
    st.booleans(),
)
def test_no_member_whatever_loses_a_byte(extra: dict[str, Any], separators: tuple[str, str], ascii_only: Any) -> None:
    for name in (
        "messages",
        "model",
        "stream",
        "stream_options",
        "reasoning",
        "usage",
        "session_id",
        "metadata",
        "user",
    ):
        extra.pop(name, None)
    body = json.dumps(
        {**extra, "model": "openai/gpt-5", "messages": [{"role": "user", "content": "é"}]},
        separators=separators,
        ensure_ascii=ascii_only,
    ).encode()
    sent = members(translation("chat.completions", body).request("key").body)
    assert sent == [(n, b'"up-1"' if n == "model" else v) for n, v in members(body)]


@pytest.mark.parametrize("api", PROVIDERS)
def test_templates_leave_the_callers_messages_as_they_are(api: str) -> None:
    templates = (MessageTemplate("user", "One?"), MessageTemplate("assistant", "Yes."))
    sent = dict(members(translation(api, odd_body(api), templates=templates).request("key").body))
    inside = ODD_MESSAGES[1:-1].strip()
    assert sent["messages"].endswith(inside + b"]")
    assert json.loads(sent["messages"])[:2] == [
        {"role": "user", "content": "One?"},
        {"role": "assistant", "content": "Yes."},
    ]


def test_metadata_that_is_anthropics_own_keeps_its_bytes() -> None:
    body = b'{"model":"m","max_tokens":1,"messages":[],"metadata":{ "user_id" : "\\u0075-1" }}'
    assert (
        dict(members(translation("messages", body).request("key").body))["metadata"] == b'{ "user_id" : "\\u0075-1" }'
    )


ANSWERS = {
    "chat.completions": json.dumps(openai_answer(), indent=1).encode().replace(b"Hello there", b"caf\\u00e9 1e400"),
    "messages": json.dumps(anthropic_answer(), indent=1).encode().replace(b"Hello there", b"caf\\u00e9"),
}


@pytest.mark.parametrize("api", PROVIDERS)
def test_an_answer_keeps_every_byte_but_model_cost_and_metadata(api: str) -> None:
    wire = ANSWERS[api]
    found = translation(api, odd_body(api))
    assert found.answer(wire) is None
    shown = members(found.render(EVIDENCE))
    assert [n for n, _ in shown] == [*(n for n, _ in members(wire)), "metadata"]
    before, after = dict(members(wire)), dict(shown)
    changed = {name for name in before if after[name] != before[name]}
    assert changed == {"model", "usage"}
    assert members(after["usage"]) == [*members(before["usage"]), ("cost", b"0.125")]
    assert json.loads(after["model"]) == candidate(f"{PROVIDERS[api]}/up-1").target.model


def streamed(api: str, events: list[bytes]) -> list[bytes]:
    """The frames that a caller gets of a stream that goes well."""
    body = odd_body(api).replace(b'"temperature":0.10', b'"stream":true')
    found = translation(api, body)
    out = b""
    for event in events:
        progress = found.feed(event)
        assert progress.failure is None
        out += progress.frames
    return (out + found.closing(EVIDENCE)).split(b"\n\n")[:-1]


def test_a_streams_chunks_keep_every_byte_but_the_model() -> None:
    events = openai_events("caf\u00e9", "\U0001f642", usage=False)
    events = [e.replace(b'"object": "chat.completion.chunk"', b'"object" :\t"chat.completion.chunk"') for e in events]
    shown = streamed("chat.completions", events)
    for frame, event in zip(shown[:3], events[:3], strict=True):
        assert frame + b"\n\n" == event.replace(b'"model": "m"', b'"model": "openai/up-1"')
    last = dict(members(shown[3].removeprefix(b"data: ")))
    assert last["choices"] == dict(members(events[3].removeprefix(b"data: ")))["choices"]
    assert shown[4] == b"data: [DONE]"


def test_a_streams_events_keep_every_byte_but_the_model() -> None:
    events = anthropic_events("caf\u00e9", "\U0001f642")
    shown = streamed("messages", events)
    # All but the start, which names the model, and the last two, which carry the evidence.
    assert [f + b"\n\n" for f in shown[1:-2]] == events[1:-2]
    start = json.loads(shown[0].split(b"data: ")[1])
    theirs = json.loads(events[0].split(b"data: ")[1])
    assert start == {**theirs, "message": {**theirs["message"], "model": "anthropic/up-1"}}


@pytest.mark.parametrize(
    "chunk",
    [
        b'{"model":"m","choices":[{"index":0,"delta":{"content":"say \\"model\\":\\"x\\""}}]}',
        b'{"choices":[{"index":0,"delta":{"content":"x","model":"inner"}}],"model":"m"}',
        b'{"model" : "m\\"q" ,"choices":[{"index":0,"delta":{"content":"x"}}]}',
        b'{"model":null,"choices":[{"index":0,"delta":{"content":"x"}}]}',
        b'{"choices":[{"index":0,"delta":{"content":"x"}}]}',
        b'{"object":"\\"model\\":","model":"m","choices":[{"index":0,"delta":{"content":"x"}}]}',
    ],
)
def test_only_the_chunks_own_model_is_replaced(chunk: bytes) -> None:
    found = translation("chat.completions", odd_body("chat.completions"))
    frame = found.feed(b"data: " + chunk + b"\n\n").frames
    shown = json.loads(frame.removeprefix(b"data: "))
    theirs = json.loads(chunk)
    assert shown == {**theirs, "model": "openai/up-1"}
