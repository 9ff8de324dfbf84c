"""Whatever stands in one place of an operation's answer: the caller gets it read, or it is called a failure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import pytest

from services.core.errors import ChainFailed, Failure, FailureKind
from services.core.policy.documents import Prices
from services.core.pricing import cost
from services.dataplane.dialects.registry import dialect_of
from services.dataplane.translation import Progress, Translation
from services.dataplane.usage import bounded
from tests.property.odd import ODD, places, replaced
from tests.support.asking import asked_headers
from tests.unit.dataplane.operations.build import EVIDENCE, FORM_TYPE, JSON_TYPE, form, target

USAGE = {
    "input_tokens": 5, "output_tokens": 7, "total_tokens": 12, "prompt_tokens": 5, "completion_tokens": 7, "cost": 0.5,
    "input_tokens_details": {"image_tokens": 2, "cached_tokens": 1, "audio_tokens": 1},
    "output_tokens_details": {"image_tokens": 7, "audio_tokens": 0},
    "cost_details": {"upstream_inference_cost": 0.25}, "is_byok": True, "cost_in_usd_ticks": 5, "seconds": "2",
}  # fmt: skip
OPENAI_VECTORS = {
    "object": "list",
    "data": [{"index": 0, "embedding": [0.5, 1]}],
    "model": "m",
    "usage": USAGE,
    "id": "i",
}
PICTURES = {"created": 1, "data": [{"b64_json": "aGk=", "revised_prompt": "a"}], "usage": USAGE, "output_format": "png"}
GOOGLE_PICTURE = {
    "candidates": [{"content": {"parts": [{"inlineData": {"mimeType": "image/png", "data": "aGk="}}]},
                    "finishReason": "STOP"}],
    "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 7,
                      "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 7}]},
    "responseId": "r", "error": None, "promptFeedback": {"blockReason": ""},
}  # fmt: skip
GOOGLE_COUNT = {
    "totalTokens": 7,
    "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 7}],
    "error": {"code": 400},
}
TRANSCRIPT = {"text": "Hi", "duration": 2.5, "usage": USAGE, "segments": [{"id": 0, "text": "Hi"}], "id": "i"}
MODERATION = {"id": "i", "model": "m", "results": [{"flagged": True, "categories": {"violence": True}}], "error": None}
SOUND = {"audioContent": "aGk=", "usage": {"processedCharactersCount": "6"}, "error": None}

TEXTS = {"input": ["a"], "encoding_format": "base64"}
PICTURE = {"prompt": "a cat"}
QUESTION = {"messages": [{"role": "user", "content": "Hi"}]}
CONTENTS = {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}
FILE = (("model", "p/m"), ("file", b"RIFF....WAVE", "a.wav"))

WHOLE: Sequence[tuple[str, str, str, Any, Any]] = (
    ("embeddings", "openai", "p/m", TEXTS, OPENAI_VECTORS),
    ("embeddings", "mistral", "p/m", {"input": ["a"], "encoding_format": "float"}, OPENAI_VECTORS),
    ("embeddings", "cohere", "p/m", TEXTS, {
        "id": "i", "embeddings": {"float": [[0.5, 1]]}, "meta": {"billed_units": {"input_tokens": 4.0}},
        "message": "m"}),
    ("embeddings", "google", "p/m", TEXTS, {
        "embeddings": [{"values": [0.5, 1]}], "usageMetadata": {"promptTokenCount": 4}, "error": {"code": 503}}),
    ("embeddings", "vertex", "p/m", TEXTS, {
        "predictions": [{"embeddings": {"values": [0.5, 1], "statistics": {"token_count": 4}}}]}),
    ("embeddings", "bedrock", "p/cohere.embed-v4", TEXTS, {"embeddings": [[0.5, 1]], "id": "i"}),
    ("embeddings", "bedrock", "p/titan-embed", TEXTS, {"embedding": [0.5, 1], "inputTextTokenCount": 4}),
    ("embeddings", "bedrock", "p/nova-embed", TEXTS, {"embeddings": [{"embeddingType": "TEXT", "embedding": [0.5]}]}),
    ("moderations", "openai", "p/m", {"input": "a"}, MODERATION),
    ("images", "openai", "p/m", PICTURE, PICTURES),
    ("images", "google", "p/imagen-4", PICTURE, {"predictions": [{"bytesBase64Encoded": "aGk=", "mimeType": "a/b"}]}),
    ("images", "google", "p/gemini-image", PICTURE, GOOGLE_PICTURE),
    ("images", "vertex", "p/gemini-image", PICTURE, GOOGLE_PICTURE),
    ("image.edits", "openai", "p/m", PICTURE, PICTURES),
    ("audio.transcriptions", "openai", "p/m", form(*FILE), TRANSCRIPT),
    ("audio.transcriptions", "mistral", "p/m", form(*FILE), TRANSCRIPT),
    ("audio.transcriptions", "xai", "p/m", form(*FILE), TRANSCRIPT),
    ("audio.transcriptions", "xai", "p/m", form(*FILE, ("response_format", "text")), TRANSCRIPT),
    ("audio.transcriptions", "inworld_tts", "p/m", form(*FILE), {
        "transcription": {"transcript": "Hi"}, "usage": {"transcribedAudioMs": "3520"}, "error": {"code": 8}}),
    ("audio.translations", "openai", "p/m", form(*FILE), TRANSCRIPT),
    ("messages.count_tokens", "anthropic", "p/m", QUESTION, {"input_tokens": 7, "error": None}),
    ("messages.count_tokens", "vertex_claude", "p/m", QUESTION, {"input_tokens": 7}),
    ("messages.count_tokens", "bedrock", "p/anthropic.claude", QUESTION, {"inputTokens": 7}),
    ("messages.count_tokens", "google", "p/m", QUESTION, GOOGLE_COUNT),
    ("messages.count_tokens", "vertex", "p/m", QUESTION, GOOGLE_COUNT),
    ("countTokens", "google", "p/m", CONTENTS, GOOGLE_COUNT),
    ("countTokens", "anthropic", "p/m", CONTENTS, {"input_tokens": 7}),
    ("countTokens", "bedrock", "p/anthropic.claude", CONTENTS, {"inputTokens": 7}),
)  # fmt: skip
"""API, provider type, model, request, answer."""

SPEECH = {"input": "Hi", "voice": "v"}
EVENTS = {**SPEECH, "stream_format": "sse"}
SPOKEN = [{"type": "speech.audio.delta", "audio": "aGk="}, {"type": "speech.audio.done", "usage": USAGE}]
PAINTED = [
    {"type": "image_generation.partial_image", "b64_json": "aGk=", "partial_image_index": 0},
    {"type": "image_generation.completed", "b64_json": "aGk=", "usage": USAGE, "error": None},
]
HEARD = [
    {"type": "transcript.text.delta", "delta": "Hi", "logprobs": []},
    {"type": "transcript.text.done", "text": "Hi", "usage": USAGE},
]
MISTRALS = [
    {"type": "transcription.language", "audio_language": "en"},
    {"type": "transcription.text.delta", "text": "Hi"},
    {"type": "transcription.segment", "text": "Hi", "start": 0, "end": 1, "speaker_id": "s"},
    {"type": "transcription.done", "text": "Hi", "usage": USAGE},
]
STREAMS: Sequence[tuple[str, str, Any, bool, Any]] = (
    ("audio.speech", "openai", EVENTS, True, SPOKEN),
    ("audio.speech", "inworld_tts", SPEECH, False, [{"result": SOUND}, {"result": SOUND, "error": None}]),
    ("audio.speech", "inworld_tts", EVENTS, False, [{"result": SOUND, "error": {"code": 8, "message": "m"}}]),
    ("audio.speech", "inworld_tts", {**SPEECH, "response_format": "flac"}, False, [SOUND]),
    ("audio.speech", "mistral", SPEECH, False, [{"audio_data": "aGk=", "object": "o", "error": None}]),
    ("audio.speech", "mistral", EVENTS, False, [{"audio_data": "aGk=", "error": {"code": 1, "message": "m"}}]),
    ("images", "openai", {**PICTURE, "stream": True}, True, PAINTED),
    ("audio.transcriptions", "openai", form(*FILE, ("stream", "true")), True, HEARD),
    ("audio.transcriptions", "mistral", form(*FILE, ("stream", "true")), True, MISTRALS),
)
"""API, provider type, request, whether it answers with events (else with lines), what they hold."""

BROKEN = ChainFailed("it broke", failure=Failure(FailureKind.DISCONNECTED, "it broke"), status=502)


def asked(api: str, kind: str, model: str, body: Any) -> Translation:
    data = body if isinstance(body, bytes) else json.dumps({"model": "p/m", **body}).encode()
    headers = {**(FORM_TYPE if isinstance(body, bytes) else JSON_TYPE), **asked_headers("generateContent")}
    made = dialect_of(api).read(data, headers).translate(target(kind, model))
    made.request("key")
    return made


def oddities(whole: Any) -> Iterator[Any]:
    for path in places(whole):
        yield from map(partial(replaced, whole, path), ODD)


def paid(translation: Translation) -> None:
    """What was used can be priced, whatever it is."""
    if translation.facts.usage is not None:
        cost(Prices(1.0, 1.0), bounded(translation.facts.usage))


@pytest.mark.parametrize(("api", "kind", "model", "body", "answer"), WHOLE)
def test_no_answer_crashes(api: str, kind: str, model: str, body: Any, answer: Any) -> None:
    read = 0
    for odd in oddities(answer):
        made = asked(api, kind, model, body)
        made.facts.headers = JSON_TYPE
        if made.answer(json.dumps(odd).encode()) is None:
            assert isinstance(made.render(EVIDENCE), bytes), odd
            paid(made)
            read += 1
    assert read, "some oddities do no harm"


@pytest.mark.parametrize(("api", "kind", "model", "body", "answer"), WHOLE)
@pytest.mark.parametrize("odd", ODD)
def test_what_is_no_object_is_a_failure(api: str, kind: str, model: str, body: Any, answer: Any, odd: Any) -> None:
    made = asked(api, kind, model, body)
    found = made.answer(json.dumps(odd).encode())
    assert found is None or isinstance(found, Failure)
    assert found is not None or isinstance(odd, Mapping)


@pytest.mark.parametrize("told", [odd for odd in ODD if isinstance(odd, str)])
@pytest.mark.parametrize(("api", "kind", "model", "body", "answer"), WHOLE)
def test_no_header_crashes(api: str, kind: str, model: str, body: Any, answer: Any, told: str) -> None:
    made = asked(api, kind, model, body)
    made.facts.headers = dict.fromkeys(("content-type", "x-amzn-bedrock-input-token-count", "x-request-id"), told)
    if made.answer(json.dumps({n: v for n, v in answer.items() if n not in {"error", "message"}}).encode()) is None:
        paid(made)


@pytest.mark.parametrize(("api", "kind", "body", "is_events", "pieces"), STREAMS)
def test_no_stream_crashes(api: str, kind: str, body: Any, is_events: bool, pieces: Any) -> None:
    done = 0
    for odd in oddities(pieces):
        made = asked(api, kind, "p/m", body)
        made.facts.headers = {"content-type": "text/event-stream" if is_events else "application/json"}
        end = "data: [DONE]\n\n" if is_events else ""
        wire = "".join(f"data: {json.dumps(p)}\n\n" if is_events else f"{json.dumps(p)}\n" for p in odd) + end
        progress = played(made, wire.encode())
        assert progress.done is not bool(progress.failure), odd
        if progress.done:
            made.closing(EVIDENCE)
            done += 1
        else:
            made.broken(BROKEN, EVIDENCE)
        paid(made)
    assert done, "some oddities do no harm"


def played(translation: Translation, data: bytes) -> Progress:
    """What a stream ends with."""
    found = translation.feed(data)
    return found if found.done or found.failure else translation.end()
