"""Whatever stands in one place of a caller's request: it is sent, or refused in words, and never a crash.

Every request of the golden files, and those of `OWN` beside them, is read, looked at as a decision looks at it, and
translated for every protocol. What comes out is a request, or one of the errors that the ports name.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import ParseError

from services.core.errors import InvalidRequest
from services.core.policy.ports import ConditionProblem
from services.core.routing.context import RequestContext
from services.core.routing.learned.clusters import ONE_KIND
from services.core.routing.plan import Candidate
from services.dataplane.dialects.registry import dialect_of
from services.dataplane.kept_facts import kept_facts
from services.dataplane.record_form import record_of
from services.dataplane.translation import Dialect, InboundRequest, Untranslatable
from services.dataplane.voice.wish import Speakable, read_wish
from services.runtime.conditions import CelCompiler
from services.wire.request_kinds import with_kinds
from tests.golden.translation.harness import APIS, CREDENTIAL, EVIDENCE, candidate, wire_request
from tests.property.odd import ODD, ODD_NAMES, Way, places, renamed, replaced, shape
from tests.support.asking import asked_headers
from tests.unit.dataplane.build import trail
from tests.unit.dataplane.operations.build import FORM_TYPE, JSON_TYPE, form, target

GOLDEN = Path(__file__).parents[1] / "golden" / "translation" / "requests"
REFUSALS = (InvalidRequest, Untranslatable)
EVERY = 11
"""Each request goes to one protocol of these many, all in turn: one place sees all of them with some value."""

CONDITION = CelCompiler()("plan > 1.0", {"plan": "double"})
OPENROUTER = "openrouter.chat.completions"
PROTOCOLS = (
    "openai", "openai_compatible", "openrouter", "azure_openai", "responses", "xai", "mistral", "cohere_reasoning",
    "anthropic", "google_3", "vertex", "vertex_claude", "bedrock", "bedrock_nova", "bedrock_llama",
)  # fmt: skip
"""Targets of the harness, of which every protocol has one or more."""

ROUTED: Mapping[str, Any] = {
    "models": ["a/b", "c/d"],
    "metadata": {"plan": "pro"},
    "user": "u",
    "provider": {
        "order": ["a"], "only": ["a"], "ignore": ["b"], "sort": "price", "allow_fallbacks": True, "zdr": True,
        "require_parameters": True, "data_collection": "deny", "quantizations": ["fp8"],
        "max_price": {"prompt": 1, "completion": "2"}, "preferred_max_latency": {"p90": 2},
    },
    "extra_body": {
        "metadata": {"plan": "pro"},
        "fallback": {"ttft_timeout": "300ms", "max_attempts": 3, "models": ["a/b"], "on": ["TIMEOUT"]},
        "selection": {"mode": "auto", "models": ["a/b"]},
        "web_search": {"max_results": 3, "engine": "exa", "max_steps": 1},
        "compression": {"enabled": True},
    },
    "reasoning": {"effort": "high", "max_tokens": 2_000, "exclude": True},
    "plugins": [{"id": "web", "max_results": 3, "search_prompt": "s", "include_domains": ["a.com"]}],
    "trace": {"trace_id": "t", "session_id": "s"},
    "session_id": "s",
    "seed": 7,
}  # fmt: skip
"""Fields for routing, which callers of every dialect in JSON may add."""

SPOKEN = {"modalities": ["text"], "audio": {"model": "p/tts", "voice": "alloy", "format": "pcm16", "speed": 1.5}}
TURN = {"role": "user", "content": "Hi"}
OWN: Mapping[str, tuple[Mapping[str, Any], ...]] = {
    "chat": ({"model": "provider/model", "messages": [TURN], **ROUTED, **SPOKEN},),
    "messages": ({"model": "provider/model", "max_tokens": 9, "messages": [TURN], **ROUTED},),
    "responses": (
        {"model": "provider/model", "input": [TURN], **ROUTED},
        {
            "model": "provider/model",
            "input": "Hi",
            "tools": [{"type": "function", "name": "f", "parameters": {}}],
            "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]},
        },
    ),
    "contents": ({"contents": [{"role": "user", "parts": [{"text": "Hi"}]}], **ROUTED},),
    "typed": (),
}
"""Requests of whose fields the golden files have only some."""


def bodies(api: str) -> Iterator[tuple[Any, Any]]:
    """Each case, and the request in it."""
    for path in sorted((GOLDEN / api).glob("*.in.json")):
        case = json.loads(path.read_text(encoding="utf-8"))
        yield case, case["request"]
    for body in OWN[api]:
        yield {}, body


def mutations(api: str) -> Iterator[Any]:
    """Every case that is one odd value away from those there are, but for those whose places are read alike."""
    seen: set[Way] = set()
    for case, body in bodies(api):
        for path in places(body):
            key = shape(body, path)
            if key not in seen:
                seen.add(key)
                for request in oddities(body, path):
                    yield {**case, "request": request}


def oddities(body: Any, path: Way) -> Iterator[Any]:
    """`body` with one place changed, in every way."""
    for odd in ODD:
        yield replaced(body, path, odd)
    if isinstance(path[-1], str):
        for name in ODD_NAMES:
            yield renamed(body, path, name)


def judged(context: RequestContext) -> None:
    """What conditions and records make of odd metadata."""
    facts = kept_facts(context, tuple(context.metadata))
    assert record_of(trail(facts=facts), "node").IsInitialized()
    assert not isinstance(CONDITION, ConditionProblem)
    CONDITION.matches(context.metadata)


def decided(request: InboundRequest) -> None:
    """Everything that a decision asks of a request before it is sent."""
    messages = request.condition_messages()
    context = with_kinds(request.context, messages, ONE_KIND)
    if context.metadata not in ({}, ROUTED["metadata"]):
        judged(context)
    if isinstance(request, Speakable) and request.audio is not None:
        decided(request.as_text())
        read_wish(request.audio)
    request.mendable()


def refused(dialect: Dialect, error: InvalidRequest) -> None:
    """A refusal is a 400 in the caller's dialect; in gRPC the words are the status's own."""
    status, body = dialect.error(error, EVIDENCE)
    assert (status, bool(body)) == (400, dialect.api != "typed")


def tried(dialect: Dialect, body: bytes, headers: Mapping[str, str], targets: Iterable[Candidate]) -> int:
    """Take a request as far as it goes; how many providers it would be sent to."""
    try:
        request = dialect.read(body, headers)
    except InvalidRequest as error:
        refused(dialect, error)
        return 0
    with suppress(*REFUSALS):
        decided(request)
    sent = 0
    for place in targets:
        try:
            upstream = request.translate(place).request(CREDENTIAL)
        except InvalidRequest as error:
            refused(dialect, error)
        except Untranslatable:
            pass
        else:
            assert upstream is None or upstream.body
            sent += 1
    return sent


@pytest.mark.parametrize("api", [*APIS, OPENROUTER])
def test_no_request_crashes(api: str) -> None:
    dialect = dialect_of(APIS.get(api, api))
    source = api if api in APIS else "chat"
    sent = 0
    for index, case in enumerate(mutations(source)):
        try:
            body, headers = wire_request(source, case)
        except (ParseError, OverflowError):
            continue  # no such message can be written
        names = PROTOCOLS[index % EVERY :: EVERY]
        sent += tried(dialect, body, headers, [candidate(name, case.get("policy", {})) for name in names])
    assert sent > 500, "most of them can be served"


JSON_OPERATIONS: Mapping[str, Mapping[str, Any]] = {
    "embeddings": {
        "model": "p/m", "input": ["a", "b"], "encoding_format": "base64", "dimensions": 8, "input_type": "query",
        "task_type": "T", "truncate": "END", **ROUTED,
    },
    "moderations": {"model": "p/m", "input": [{"type": "text", "text": "a"}], **ROUTED},
    "images": {
        "model": "p/m", "prompt": "a cat", "n": 1, "size": "1024x1024", "stream": False, "quality": "high",
        "response_format": "b64_json", **ROUTED,
    },
    "image.edits": {"model": "p/m", "prompt": "a cat", "images": [{"image_url": "https://a.com/b.png"}], "n": 1},
    "audio.speech": {
        "model": "p/m", "input": "Hi", "voice": {"id": "v"}, "response_format": "wav", "speed": 1.5,
        "stream_format": "sse", "sample_rate": 24_000, "temperature": 1, "language": "en", "ref_audio": "a",
        "voice_id": "v", **ROUTED,
    },
    "messages.count_tokens": {
        "model": "p/m", "system": [{"type": "text", "text": "s"}], "tool_choice": {"type": "any"},
        "tools": [{"name": "f", "description": "d", "input_schema": {"type": "object"}}],
        "thinking": {"type": "enabled", "budget_tokens": 1_024},
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Hi"}, {"type": "image", "source": {
                "type": "base64", "media_type": "image/png", "data": "aGk="}}]},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "f", "input": {"a": 1}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": "42"}]},
        ],
        **{name: value for name, value in ROUTED.items() if name != "metadata"},
    },
    "countTokens": {
        "generateContentRequest": {
            "contents": [{"role": "user", "parts": [
                {"text": "Hi"}, {"inlineData": {"mimeType": "image/png", "data": "aGk="}},
                {"functionCall": {"name": "f", "args": {"a": 1}}}, {"functionResponse": {"name": "f", "response": {}}},
            ]}],
            "systemInstruction": {"parts": [{"text": "s"}]},
            "tools": [{"functionDeclarations": [{"name": "f", "parameters": {"type": "OBJECT"}}]}],
            "generationConfig": {"temperature": 1, "maxOutputTokens": 9},
        },
        **ROUTED,
    },
}  # fmt: skip
FORMS: Mapping[str, Mapping[str, str]] = {
    "image.edits": {"model": "p/m", "prompt": "a cat", "n": "1", "stream": "true", "size": "1024x1024", "user": "u"},
    "audio.transcriptions": {
        "model": "p/m", "response_format": "text", "stream": "true", "language": "en", "temperature": "0",
        "timestamp_granularities[]": "word", "metadata": "{}", "extra_body": "{}", "models[]": "a/b", "n": "1",
    },
    "audio.translations": {"model": "p/m", "response_format": "json", "prompt": "p", "provider[order][]": "a"},
}  # fmt: skip
SERVERS = (
    ("openai", "p/m"), ("openai_compatible", "p/m"), ("azure_openai", "p/m"), ("xai", "p/m"), ("mistral", "p/m"),
    ("cohere", "p/m"), ("anthropic", "p/m"), ("inworld_tts", "p/m"), ("google", "p/imagen-4"),
    ("google", "p/gemini-3-pro-image"), ("vertex", "p/imagen-4"), ("vertex_claude", "p/claude-sonnet-4-5"),
    ("bedrock", "p/cohere.embed-v4"), ("bedrock", "p/amazon.titan-embed-text-v2"), ("bedrock", "p/amazon.nova-embed"),
    ("bedrock", "p/anthropic.claude-sonnet-4-5"),
)  # fmt: skip


@pytest.mark.parametrize("api", JSON_OPERATIONS)
def test_no_request_for_an_operation_crashes(api: str) -> None:
    body, dialect = JSON_OPERATIONS[api], dialect_of(api)
    headers = {**JSON_TYPE, **asked_headers("generateContent")}
    targets = [target(kind, model) for kind, model in SERVERS]
    sent = 0
    for path in places(body):
        for request in oddities(body, path):
            sent += tried(dialect, json.dumps(request).encode(), headers, targets)
    assert sent > 500, "most of them can be served"


@pytest.mark.parametrize("api", FORMS)
def test_no_form_crashes(api: str) -> None:
    fields, dialect = FORMS[api], dialect_of(api)
    targets = [target(kind, model) for kind, model in SERVERS]
    sent = 0
    for name in fields:
        for odd in ODD:
            text = odd if isinstance(odd, str) else json.dumps(odd)
            for other in (name, f"{name}[]", f"{name}[odd]", f"{name}[odd][]"):
                given = [(n, v) for n, v in fields.items() if n != name]
                body = form((other, text), *given, ("file", b"RIFF....WAVE", "a.wav"), ("image", b"x", "a.png"))
                sent += tried(dialect, body, FORM_TYPE, targets)
    assert sent > 500, "most of them can be served"
