"""Runs one translation and tells it as plain values: what the provider gets, what the caller gets.

Secrets show as their references, so a golden file also proves where a credential goes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from google.protobuf import json_format
from turnout.inference.v1 import chat_pb2

from services.core.attempts.verdicts import caller_status
from services.core.errors import ChainFailed, Failure, InvalidRequest
from services.core.policy.documents import MessageTemplate, Router, TextGenerationConfig
from services.core.policy.provider_types import base_url_of, protocol_of
from services.core.policy.rules import ClockRule
from services.core.policy.snapshot import CompiledProvider, Target
from services.core.routing.plan import Candidate
from services.dataplane.dialects.openai_chat import OpenAiChat
from services.dataplane.dialects.registry import dialect_of
from services.dataplane.dialects.responses import OpenAiResponses
from services.dataplane.dialects.typed_write import split_events
from services.dataplane.providers.registry import codec_for
from services.dataplane.translation import (
    STREAM_HEADER,
    Dialect,
    Evidence,
    Facts,
    InboundRequest,
    Progress,
    Translation,
    Untranslatable,
)
from services.wire.document_form import read_form
from services.wire.policy import to_document
from tests.support.asking import asked_headers, question
from tests.support.converse import converse_frame

APIS = {
    "chat": "chat.completions",
    "messages": "messages",
    "responses": "responses",
    "contents": "generateContent",
    "typed": "typed",
}
EVIDENCE = Evidence({"generation_id": "gen-1"}, 0.0125, "provider/model", "gen-1")
CREDENTIAL = "<secret of env:KEY>"
TARGETS = {
    "openai": ("openai", "gpt-5"),
    "openai_older": ("openai", "gpt-4.1"),
    "openai_search": ("openai", "gpt-5-search-api"),
    "openai_compatible": ("openai_compatible", "llama-3"),
    "openai_gemini": ("openai_compatible", "gemini-3-pro"),
    "openrouter": ("openrouter", "google/gemini-3-pro"),
    "azure_openai": ("azure_openai", "my deployment"),
    "mistral": ("mistral", "mistral-large-latest"),
    "mistral_reasoning": ("mistral", "magistral-medium-latest"),
    "cohere": ("cohere", "command-a-03-2025"),
    "cohere_reasoning": ("cohere", "command-a-reasoning-08-2025"),
    "anthropic": ("anthropic", "claude-sonnet-4-5"),
    "anthropic_adaptive": ("anthropic", "claude-sonnet-5-5"),
    "google": ("google", "gemini-2.5-flash"),
    "google_3": ("google", "gemini-3-flash-preview"),
    "google_newest": ("google", "gemini-3.8-flash"),
    "vertex": ("vertex", "gemini-3-flash-preview"),
    "vertex_claude": ("vertex", "claude-sonnet-4-5@20250929"),
    "bedrock": ("bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0"),
    "bedrock_adaptive": ("bedrock", "us.anthropic.claude-sonnet-5-5"),
    "bedrock_nova": ("bedrock", "us.amazon.nova-2-lite-v1:0"),
    "bedrock_llama": ("bedrock", "us.meta.llama4-maverick-17b-instruct-v1:0"),
    "bedrock_profile": ("bedrock", "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc"),
    "responses": ("openai", "gpt-5"),
    "responses_older": ("openai", "gpt-4.1"),
    "xai": ("xai", "grok-4"),
}
"""Provider type and model by the name that cases use; `anthropic_adaptive` is a model that reasons by effort only,
`responses` and `responses_older` are models that policy says are called by that API.
"""

ADDRESSES = {
    "vertex": "https://europe-west1-aiplatform.googleapis.com/v1/projects/example-project/locations/europe-west1"
}
"""Of provider types whose address policy has to say; the others of them are at llm.example.com."""

Case = Mapping[str, Any]


def dialect(api: str) -> Dialect:
    """The dialect of a case, with a clock that stands still."""
    timed = {"chat": OpenAiChat, "responses": OpenAiResponses}.get(api)
    return timed(codec_for, lambda: 1_750_000_000.0) if timed is not None else dialect_of(APIS[api])


def candidate(name: str, policy: Case) -> Candidate:
    """A target, with what the case's policy sets."""
    provider_type, model = TARGETS[name]
    base_url = base_url_of(provider_type) or ADDRESSES.get(provider_type, "https://llm.example.com/v1")
    headers, labels = policy.get("headers", {}), policy.get("labels", {})
    protocol = protocol_of(provider_type)
    provider = CompiledProvider("provider", provider_type, base_url, headers=headers, labels=labels, protocol=protocol)
    target = Target("provider/model", provider, model, api="responses" if name.startswith("responses") else "")
    generation, templates = _variant(policy)
    return Candidate(target, ClockRule(), generation=generation, templates=templates)


def _variant(policy: Case) -> tuple[TextGenerationConfig | None, tuple[MessageTemplate, ...]]:
    """Parameters and templates, read as policy files are."""
    variant = {name: policy[name] for name in ("text_generation_config", "message_templates") if name in policy}
    weighted = {"weight": 100, "variant": {"variant_id": "v", "model_id": "provider/model", **variant}}
    form = {"kind": "Router", "name": "r", "default_route": {"route_id": "d", "variants": [weighted]}}
    resource, problems = read_form(form)
    assert resource is not None, problems
    router = to_document(resource)
    assert isinstance(router, Router)
    assert router.default_route is not None
    found = router.default_route.variants[0].variant
    assert found is not None
    return found.text_generation_config, found.message_templates


def inbound(api: str, case: Case) -> InboundRequest:
    """The case's request, read by its dialect."""
    return dialect(api).read(*wire_request(api, case))


def wire_request(api: str, case: Case) -> tuple[bytes, Mapping[str, str]]:
    """The caller's bytes and headers."""
    headers = dict(case.get("headers", {}))
    body = case["request"]
    if api == "contents":
        headers |= asked_headers(APIS[api], case.get("model", "provider/model"), stream=bool(case.get("stream")))
    if api == "typed":
        headers[STREAM_HEADER] = "true" if case.get("stream") else "false"
        return json_format.ParseDict(body, chat_pb2.ChatRequest()).SerializeToString(), headers
    return json.dumps(body, ensure_ascii=False).encode(), headers


def told_request(api: str, provider_type: str, case: Case) -> Any:
    """What the provider gets, or why it gets nothing."""
    try:
        request = inbound(api, case)
        translation = request.translate(candidate(provider_type, case.get("policy", {})))
        upstream = translation.request(CREDENTIAL)
    except InvalidRequest as error:
        return {"invalid": {"message": error.message, "param": error.param}}
    except Untranslatable as error:
        return {"untranslatable": error.failure.message}
    return {
        "routing": _told_context(request),
        "upstream": {
            "method": upstream.method,
            "url": upstream.url,
            "headers": dict(upstream.headers),
            "body": json.loads(upstream.body),
        },
        "warnings": translation.facts.warnings,
    }


def _told_context(request: InboundRequest) -> Any:
    """The facts of a request that are set."""
    context = request.context
    names = ("model", "models", "metadata", "user", "needs", "clocks", "warnings")
    told = {name: value for name in names if (value := getattr(context, name))}
    preferences = context.preferences
    told |= {f.name: v for f in msgspec.structs.fields(preferences) if (v := getattr(preferences, f.name)) != f.default}
    told |= {"sort": [str(key) for key in preferences.sort]} if preferences.sort else {}
    told |= {"stream": True} if request.stream else {}
    return {name: sorted(v) if isinstance(v, frozenset) else v for name, v in told.items()}


def translation_for(api: str, provider_type: str, case: Case) -> Translation:
    """A translation of a plain request, ready for an answer."""
    stream = "stream" in case
    body: dict[str, Any] = {"model": "provider/model", "messages": [{"role": "user", "content": "Hi"}]}
    if api == "responses":
        body["input"] = body.pop("messages")
    if api == "contents":
        body = question(APIS[api], text="Hi")
    if api == "typed":
        body["messages"] = [{"role": "user", "parts": [{"text": "Hi"}]}]
    elif stream and api != "contents":
        body["stream"] = True
    if api == "messages":
        body["max_tokens"] = 1024
    if api == "chat" and case.get("include_usage"):
        body["stream_options"] = {"include_usage": True}
    translation = inbound(api, {"request": body, "stream": stream}).translate(candidate(provider_type, {}))
    translation.request(CREDENTIAL)
    translation.facts.warnings.clear()
    return translation


def told_answer(api: str, provider_type: str, case: Case) -> Any:
    """What the caller gets of the case's answer."""
    translation = translation_for(api, provider_type, case)
    if "stream" in case:
        return _told_stream(api, translation, wire_stream(provider_type, case["stream"]))
    failure = translation.answer(_wire(case["answer"]))
    if failure is not None:
        return {"failure": _told_failure(failure), "facts": _told_facts(translation.facts)}
    body = translation.render(EVIDENCE)
    return {"answer": _told_body(api, body), "facts": _told_facts(translation.facts)}


def _wire(answer: Any) -> bytes:
    return answer.encode() if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False).encode()


def wire_stream(provider_type: str, events: Iterable[Any]) -> bytes:
    """The provider's bytes: objects are framed as its protocol frames them, text stands as it is."""
    if provider_type == "bedrock":
        return b"".join(event.encode() if isinstance(event, str) else converse_frame(event) for event in events)
    pieces = []
    for event in events:
        if isinstance(event, str):
            pieces.append(event)
        elif provider_type in {"anthropic", "cohere", "responses"}:
            pieces.append(f"event: {event['type']}\ndata: {json.dumps(event, ensure_ascii=False)}\n\n")
        else:
            pieces.append(f"data: {json.dumps(event, ensure_ascii=False)}\n\n")
    return "".join(pieces).encode()


def _told_stream(api: str, translation: Translation, data: bytes) -> Any:
    told: dict[str, Any] = {"frames": []}
    progress = feed_all(translation, [data])
    told["frames"] = frames_of(api, progress.frames)
    if progress.failure is not None:
        told["failure"] = _told_failure(progress.failure)
        if progress.content:
            broken = translation.broken(_chain_failed(progress.failure), EVIDENCE)
            told["broken"] = frames_of(api, broken)
    elif progress.done:
        told["closing"] = frames_of(api, translation.closing(EVIDENCE))
    told["facts"] = _told_facts(translation.facts)
    return told


def feed_all(translation: Translation, pieces: Iterable[bytes]) -> Progress:
    """Everything that the pieces of a stream brought, as one progress."""
    total = Progress()
    for piece in pieces:
        _add(total, translation.feed(piece))
        if total.done or total.failure is not None:
            return total
    _add(total, translation.end())
    return total


def _add(total: Progress, part: Progress) -> None:
    total.frames += part.frames
    total.event |= part.event
    total.content |= part.content
    total.done |= part.done
    total.failure = total.failure or part.failure


def frames_of(api: str, data: bytes) -> list[Any]:
    """Frames as values, one each."""
    if api == "typed":
        return [_told_message(event) for event in split_events(data)]
    found: list[Any] = []
    for block in data.decode().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line)
        if lines:
            value = lines["data"]
            found.append({**lines, "data": value if value == "[DONE]" else json.loads(value)})
    return found


def _told_message(message: Any) -> Any:
    """A message as a value; the members of a Struct have no order of their own."""
    return _in_order(json_format.MessageToDict(message, preserving_proto_field_name=True))


def _in_order(value: Any, *, inside: bool = False) -> Any:
    if isinstance(value, dict):
        names = sorted(value) if inside else value
        return {name: _in_order(value[name], inside=inside or name == "logprobs") for name in names}
    return [_in_order(item, inside=inside) for item in value] if isinstance(value, list) else value


def _told_body(api: str, body: bytes) -> Any:
    if api == "typed":
        return _told_message(chat_pb2.ChatResponse.FromString(body))
    return json.loads(body)


def _told_facts(facts: Facts) -> Any:
    told: dict[str, Any] = {"response_id": facts.response_id, "finish_reason": facts.finish_reason}
    if facts.usage is not None:
        told["usage"] = {name: value for name in facts.usage.__struct_fields__ if (value := getattr(facts.usage, name))}
    if facts.warnings:
        told["warnings"] = facts.warnings
    return told


def _told_failure(failure: Failure) -> Any:
    told: dict[str, Any] = {"kind": failure.kind.value, "message": failure.message}
    if failure.code:
        told["code"] = failure.code
    if failure.retry_after is not None:
        told["retry_after"] = failure.retry_after
    return told


def _chain_failed(failure: Failure) -> ChainFailed:
    return ChainFailed(failure.message, failure=failure, status=caller_status(failure))


def told_error(api: str, provider_type: str, case: Case) -> Any:
    """What the caller gets when the provider's error status ends the chain."""
    translation = translation_for(api, provider_type, {})
    failure = translation.failure(case["status"], case.get("headers", {}), _wire(case["answer"]))
    status, body = dialect(api).error(_chain_failed(failure), EVIDENCE)
    told = {"failure": _told_failure(failure), "status": status}
    return {**told, "body": json.loads(body)} if body else told
