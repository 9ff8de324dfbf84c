"""Operations at providers that speak OpenAI's protocol: bytes, addresses, evidence, errors inside a success."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.core.errors import FailureKind, InvalidRequest
from services.dataplane.translation import TokenUsage, Untranslatable
from tests.unit.dataplane.operations.build import DIALECTS, EVIDENCE, FORM_TYPE, JSON_TYPE, form, read, rendered, to

K = FailureKind
BODIES: dict[str, Any] = {
    "embeddings": {"input": "hi"},
    "moderations": {"input": "hi"},
    "images": {"prompt": "a cat"},
    "audio.speech": {"input": "hi", "voice": "alloy"},
}
FORMS: dict[str, bytes] = {
    "image.edits": form(("model", "p/m"), ("image", b"png", "a.png"), ("prompt", "red")),
    "audio.transcriptions": form(("model", "p/m"), ("file", b"wav", "a.wav")),
    "audio.translations": form(("model", "p/m"), ("file", b"wav", "a.wav")),
}
PATHS = {
    "embeddings": "/embeddings",
    "moderations": "/moderations",
    "images": "/images/generations",
    "image.edits": "/images/edits",
    "audio.speech": "/audio/speech",
    "audio.transcriptions": "/audio/transcriptions",
    "audio.translations": "/audio/translations",
}


def asked(api: str, kind: str = "openai", **more: Any) -> Any:
    if api in FORMS:
        return to(kind, api, FORMS[api], FORM_TYPE)
    return to(kind, api, {"model": "p/m", **BODIES[api], **more})


@pytest.mark.parametrize("api", PATHS)
def test_each_api_has_its_path_its_content_type_and_the_key(api: str) -> None:
    request = asked(api).request("secret")
    assert request.url == f"https://p.example.com/v1{PATHS[api]}"
    assert request.headers["authorization"] == "Bearer secret"
    kind = FORM_TYPE if api in FORMS else JSON_TYPE
    assert request.headers["content-type"] == kind["content-type"]


@pytest.mark.parametrize(
    ("kind", "api", "url"),
    [
        ("azure_openai", "embeddings", "https://p.example.com/v1/openai/v1/embeddings"),
        ("perplexity", "embeddings", "https://p.example.com/v1/v1/embeddings"),
        ("openrouter", "images", "https://p.example.com/v1/images"),
        ("writer", "embeddings", "https://p.example.com/v1/embeddings"),
        ("groq", "audio.transcriptions", "https://p.example.com/v1/audio/transcriptions"),
    ],
)
def test_vendors_with_addresses_of_their_own(kind: str, api: str, url: str) -> None:
    assert asked(api, kind).request("secret").url == url


@pytest.mark.parametrize("kind", ["anthropic", "inworld_tts"])
def test_a_provider_without_the_operation_is_passed_over(kind: str) -> None:
    with pytest.raises(Untranslatable) as caught:
        asked("embeddings", kind)
    assert caught.value.failure.kind is K.UNSUPPORTED
    assert caught.value.failure.message == "p has no embeddings"


def test_members_keep_their_bytes_and_routing_fields_stay_here() -> None:
    body = (
        b'{"input": [ "h\\u00e9" ] ,"model":"p/m","temp":1.50,"models":["x/y"],"metadata":{"a":1},'
        b'"provider":{},"ignore":[],"fallback":{},"extra_body":{"user":"u","odd":1},"session_id":"s"}'
    )
    translation = to("openai", "embeddings", body)
    request = translation.request("")
    assert request is not None
    assert request.body == b'{"input":[ "h\\u00e9" ],"model":"m","temp":1.50}'
    assert translation.facts.warnings == ["extra_body.odd was dropped: it is not known here"]


@pytest.mark.parametrize(
    ("api", "model"),
    [("moderations", "omni-moderation-latest"), ("images", "dall-e-2")],
)
def test_where_the_api_has_a_default_the_model_may_be_missing(api: str, model: str) -> None:
    assert read(api, BODIES[api]).context.model == model


@pytest.mark.parametrize("api", ["embeddings", "audio.speech", "audio.transcriptions"])
def test_elsewhere_it_may_not(api: str) -> None:
    body = form(("file", b"x", "a")) if api in FORMS else BODIES[api]
    with pytest.raises(InvalidRequest) as caught:
        read(api, body, FORM_TYPE if api in FORMS else JSON_TYPE)
    assert caught.value.param == "model"


@pytest.mark.parametrize(
    ("api", "body", "headers", "param"),
    [
        ("embeddings", {"model": "p/m"}, JSON_TYPE, "input"),
        ("images", {"model": "p/m", "prompt": ""}, JSON_TYPE, "prompt"),
        ("audio.speech", {"model": "p/m", "input": ""}, JSON_TYPE, "input"),
        ("audio.speech", {"model": "p/m", "input": ["a"]}, JSON_TYPE, "input"),
        ("audio.speech", {"model": "p/m", "input": "a", "stream_format": {}}, JSON_TYPE, "stream_format"),
        ("audio.transcriptions", form(("model", "p/m")), FORM_TYPE, "file"),
        ("audio.translations", form(("model", "m"), ("file", b"", "a"), ("stream", "true")), FORM_TYPE, "stream"),
        ("embeddings", {"model": "p/m", "input": "a", "stream": True}, JSON_TYPE, "stream"),
        ("audio.transcriptions", {"model": "p/m"}, JSON_TYPE, ""),
        ("embeddings", form(("model", "p/m")), FORM_TYPE, ""),
        ("embeddings", b"", JSON_TYPE, ""),
        ("embeddings", b"[]", JSON_TYPE, ""),
        ("embeddings", {"model": 5, "input": "a"}, JSON_TYPE, "model"),
        ("messages.count_tokens", {"model": "p/m"}, JSON_TYPE, "messages"),
    ],
)
def test_a_request_that_is_none_is_refused_by_its_field(api: str, body: Any, headers: Any, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read(api, body, headers)
    assert caught.value.param == param
    status, told = DIALECTS[api].error(caught.value, None)
    assert status == 400
    assert json.loads(told)["error"]["message"] == caught.value.message


def test_image_edits_take_json_as_well() -> None:
    body = {"model": "p/m", "prompt": "red", "images": [{"image_url": "https://example.com/a.png"}]}
    request = to("openai", "image.edits", body).request("")
    assert request is not None
    assert json.loads(request.body) == {**body, "model": "m"}


def test_facts_of_forms_are_those_of_json() -> None:
    fields = [("model", "ns/r"), ("models[]", "a/b"), ("metadata[tier]", "gold"), ("user", "u"), ("ignore[]", "x")]
    body = form(("file", b"x", "a"), *fields, ("provider", '{"order":["q"],"allow_fallbacks":false}'))
    context = read("audio.translations", body, FORM_TYPE).context
    assert context.model == "ns/r"
    assert context.models == ("a/b",)
    assert context.metadata == {"tier": "gold"}
    assert context.user == "u"
    same = {"file": "", "model": "ns/r", "models": ["a/b"], "metadata": {"tier": "gold"}, "user": "u", "ignore": ["x"]}
    provider = {"order": ["q"], "allow_fallbacks": False}
    assert context == read("embeddings", {**same, "input": "x", "provider": provider}).context
    spelled = form(("file", b"x", "a"), *fields, ("provider[order][]", "q"), ("provider[allow_fallbacks]", "false"))
    assert read("audio.translations", spelled, FORM_TYPE).context == context


def test_conditions_see_the_text_as_a_users_message() -> None:
    assert read("embeddings", {"model": "m", "input": ["a", "b"]}).condition_messages() == (
        {"role": "user", "content": "a\nb"},
    )
    assert read("images", {"model": "m", "prompt": "cat"}).condition_messages()[0]["content"] == "cat"
    messages = [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]
    assert read("messages.count_tokens", {"model": "m", "messages": messages}).condition_messages() == (
        {"role": "user", "content": "hi"},
    )
    assert read("embeddings", {"model": "m", "input": [[1, 2]]}).condition_messages()[0]["content"] == ""


@pytest.mark.parametrize(
    ("api", "answer", "usage"),
    [
        ("moderations", {"id": "modr-1", "model": "x", "results": [{"flagged": False}]}, None),
        ("images", {"created": 1, "data": [{"url": "u"}, {"url": "v"}]}, TokenUsage(images=2)),
        (
            "images",
            {
                "data": [{"b64_json": "aGk="}],
                "usage": {"input_tokens": 5, "output_tokens": 9, "input_tokens_details": {"text_tokens": 5}},
            },
            TokenUsage(input_tokens=5, output_tokens=9, output_image_tokens=9, images=1),
        ),
        (
            "images",
            {"data": [{"url": "u"}], "usage": {"cost_in_usd_ticks": 200_000_000}},
            TokenUsage(images=1, cost_usd=0.02),
        ),
        (
            "audio.transcriptions",
            {"text": "x", "usage": {"total_tokens": 49, "input_tokens": 37, "output_tokens": 12, "cost": 0.00010625}},
            TokenUsage(input_tokens=37, output_tokens=12, cost_usd=0.00010625),
        ),
        ("audio.transcriptions", {"text": "hi", "usage": {"type": "duration", "seconds": 4}}, TokenUsage(seconds=4.0)),
        ("audio.transcriptions", {"text": "hi", "duration": "3.7", "segments": []}, TokenUsage(seconds=3.7)),
        (
            "audio.transcriptions",
            {
                "text": "",
                "usage": {"input_tokens": 37, "output_tokens": 2, "input_token_details": {"audio_tokens": 37}},
            },
            TokenUsage(input_tokens=37, output_tokens=2, input_audio_tokens=37),
        ),
        (
            "audio.transcriptions",
            {"text": "x", "usage": {"prompt_audio_seconds": 3, "prompt_tokens": 3, "completion_tokens": 11}},
            TokenUsage(input_tokens=3, output_tokens=11, seconds=3.0),
        ),
    ],
)
def test_answers_pass_with_evidence_and_usage_is_learned(api: str, answer: Any, usage: TokenUsage | None) -> None:
    translation = asked(api)
    found = rendered(translation, answer)
    assert found.pop("metadata") == EVIDENCE.metadata
    if isinstance(found.get("usage"), dict):
        assert found["usage"].pop("cost") == EVIDENCE.cost_usd
        answer["usage"].pop("cost", None)
    expected = {**answer, "model": EVIDENCE.model} if api == "moderations" else answer
    assert found == expected
    assert translation.facts.usage == usage
    assert translation.answer_type == "application/json"


@pytest.mark.parametrize("api", ["embeddings", "moderations", "images", "audio.transcriptions"])
@pytest.mark.parametrize(
    ("body", "kinds"),
    [
        (b"<html>", {K.BAD_RESPONSE}),
        (b"[]", {K.BAD_RESPONSE}),
        (b"", {K.BAD_RESPONSE}),
        (b"{}", {K.BAD_RESPONSE}),
        (b"\xff{}", {K.BAD_RESPONSE}),
        (b"[" * 100_000, {K.BAD_RESPONSE}),
        (b'{"data":null,"results":null,"text":null}', {K.BAD_RESPONSE}),
        (b'{"data":[],"results":[],"text":5,"usage":"x"}', {K.EMPTY_ANSWER, K.BAD_RESPONSE}),
        (b'{"data":7,"results":[],"text":null}', {K.EMPTY_ANSWER, K.BAD_RESPONSE}),
        (b'{"error":{"message":"m","code":"rate_limit_exceeded"}}', {K.RATE_LIMITED}),
        (b'{"error":"overloaded"}', {K.OVERLOADED}),
    ],
)
def test_a_success_that_is_none_is_a_failure(api: str, body: bytes, kinds: set[FailureKind]) -> None:
    translation = asked(api)
    failure = translation.answer(body)
    if api == "audio.transcriptions" and b'"text":5' in body:
        assert failure is None  # odd, and the caller's to see
    else:
        assert failure is not None
        assert failure.kind in kinds


@pytest.mark.parametrize("wanted", ["text", "srt", "vtt"])
def test_text_formats_pass_as_they_are_under_the_providers_type(wanted: str) -> None:
    body = form(("model", "p/m"), ("file", b"x", "a"), ("response_format", wanted))
    translation = to("openai", "audio.transcriptions", body, FORM_TYPE)
    translation.facts.headers = {"content-type": "text/plain; charset=utf-8"}
    assert translation.answer("1\n00:00 --> 00:01\nÜber\n".encode()) is None
    assert translation.render(EVIDENCE) == "1\n00:00 --> 00:01\nÜber\n".encode()
    assert translation.answer_type == "text/plain; charset=utf-8"
    assert translation.answer(b"") is None


@pytest.mark.parametrize(
    ("kind", "body", "failure"),
    [
        ("application/json", b'{"error":{"message":"m","code":"server_error"}}', K.SERVER_ERROR),
        ("application/json", b'{"text":"hi"}', K.BAD_RESPONSE),
        ("text/html", b"<html>", K.BAD_RESPONSE),
    ],
)
def test_text_that_is_something_else_is_a_failure(kind: str, body: bytes, failure: FailureKind) -> None:
    asked_for = form(("model", "p/m"), ("file", b"x", "a"), ("response_format", "text"))
    translation = to("openai", "audio.transcriptions", asked_for, FORM_TYPE)
    translation.facts.headers = {"content-type": kind}
    found = translation.answer(body)
    assert found is not None
    assert found.kind is failure


def test_a_form_is_made_once_for_all_attempts_at_a_model() -> None:
    inbound = read("audio.transcriptions", form(("model", "p/m"), ("file", b"x" * 100, "a")), FORM_TYPE)
    from tests.unit.dataplane.operations.build import target

    bodies = [r.body for t in (1, 2) if (r := inbound.translate(target("openai")).request("")) is not None]
    assert len(bodies) == 2
    assert bodies[0] is bodies[1]
