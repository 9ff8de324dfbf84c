"""Recorded answers of operations: through the same dialect they keep their bytes, across they say the same."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from services.dataplane.members import split_members
from services.dataplane.operations.vectors import unpacked
from services.dataplane.translation import Evidence, Translation
from tests.replay.traffic import Exchange, folder, operations
from tests.unit.dataplane.operations.build import FORM_TYPE, JSON_TYPE, form, read, target

pytestmark = pytest.mark.skipif(folder() is None, reason="no recordings: set TURNOUT_TRAFFIC")

EVIDENCE = Evidence({"generation_id": "gen-1"}, None, "p/m", "gen-1")
OURS = {
    "embeddings": "embeddings",
    "moderations": "moderations",
    "images.generations": "images",
    "images.edits": "image.edits",
    "audio.speech": "audio.speech",
    "audio.transcriptions": "audio.transcriptions",
    "audio.translations": "audio.translations",
    "messages.count_tokens": "messages.count_tokens",
}
SPEAK_OPENAI = {
    "openai": "openai",
    "azure": "azure_openai",
    "mistral": "mistral",
    "openrouter": "openrouter",
    "ollama": "openai_compatible",
    "local-openai": "openai_compatible",
    "perplexity": "perplexity",
    "voyage": "voyage",
    "xai": "xai",
    "anthropic": "anthropic",
}
"""Types by the names of files."""

STAND_IN: dict[str, Any] = {"input": "x", "prompt": "x", "voice": "v"}
"""For answers whose request was not kept."""


def asked(exchange: Exchange) -> tuple[bytes, dict[str, str]]:
    """The recorded request as a caller of ours would send it."""
    parts = exchange.request.get("multipart")
    if parts is not None:
        rows = []
        for part in parts:
            if "base64" in part:
                rows.append((part["name"], base64.b64decode(part["base64"]), part.get("filename") or "f"))
            elif part["name"] != "model":
                rows.append((part["name"], part["text"]))
        return form(("model", "p/m"), *rows), FORM_TYPE
    body = exchange.request.get("body")
    if body is None:
        body = (
            {**STAND_IN, "input": ["x"] * len(json.loads(exchange.body)["data"])}
            if exchange.api == "embeddings"
            else STAND_IN
        )
    return json.dumps({**body, "model": "p/m"}).encode(), JSON_TYPE


def translation(exchange: Exchange, kind: str, api: str) -> Translation:
    body, headers = asked(exchange)
    made = read(api, body, headers).translate(target(kind))
    made.facts.headers = {"content-type": "application/json", **exchange.headers}
    return made


def ours() -> Iterator[Exchange]:
    if folder() is None:
        return
    for provider in SPEAK_OPENAI:
        for exchange in operations(provider, *OURS):
            path = exchange.request["url"].split("?")[0]
            # Ollama's own API, OpenAI's reports of use and xAI's own transcription are other protocols.
            if "/api/embed" not in path and "/organization/" not in path and not path.endswith("/stt"):
                yield exchange


def test_the_recordings_hold_enough_of_every_api() -> None:
    found = [exchange.api for exchange in ours()]
    assert len(found) > 120
    assert set(found) == OURS.keys()


@pytest.mark.parametrize("exchange", [pytest.param(e, id=e.id) for e in ours()])
def test_what_passes_keeps_its_bytes(exchange: Exchange) -> None:
    made = translation(exchange, SPEAK_OPENAI[exchange.provider], OURS[exchange.api])
    if exchange.stream:
        progress = made.feed(exchange.body)
        progress = progress if progress.done or progress.failure else made.end()
        assert progress.failure is None
        shown = [line for line in exchange.body.replace(b"\r\n", b"\n").split(b"\n\n") if line]
        closing = made.closing(EVIDENCE).split(b"\n\n")
        last = json.loads(closing[0].removeprefix(b"data: "))
        assert last.pop("metadata") == EVIDENCE.metadata
        assert last == json.loads(shown[-2].removeprefix(b"data: "))
        assert made.feed(b"").frames == b""
        assert closing[1] == shown[-1] == b"data: [DONE]"
        return
    if exchange.api == "audio.speech":
        progress = made.feed(exchange.body)
        assert progress.failure is None
        rest = made.end()
        assert rest.done
        sound = exchange.body
        if exchange.provider == "mistral":
            sound = base64.b64decode(json.loads(exchange.body)["audio_data"])
        assert progress.frames + rest.frames == sound
        return
    assert made.answer(exchange.body) is None
    before, after = split_members(exchange.body), split_members(made.render(EVIDENCE))
    assert json.loads(bytes(after.pop("metadata"))) == EVIDENCE.metadata
    if "model" in before and exchange.api in {"embeddings", "moderations"}:
        assert json.loads(bytes(after.pop("model"))) == EVIDENCE.model
        before.pop("model")
    if exchange.api == "embeddings" and bytes(before["data"]) != bytes(after["data"]):
        wanted = [row["embedding"] for row in json.loads(bytes(before.pop("data")))]
        found = [row["embedding"] for row in json.loads(bytes(after.pop("data")))]
        assert [v if isinstance(v, str) else pytest.approx(v, rel=1e-6) for v in wanted] == [
            f if isinstance(w, str) else unpacked(f) for w, f in zip(wanted, found, strict=True)
        ]
    after.pop("model", None) if "model" not in before else None
    assert {name: bytes(value) for name, value in after.items()} == {name: bytes(v) for name, v in before.items()}


def crossing() -> Iterator[Exchange]:
    if folder() is not None:
        yield from (e for e in operations("cohere", "embeddings") if e.request["url"].endswith("/v2/embed"))


@pytest.mark.parametrize("exchange", [pytest.param(e, id=e.id) for e in crossing()])
def test_vectors_of_cohere_come_through(exchange: Exchange) -> None:
    theirs = exchange.request["body"]
    body = {"model": "p/m", "input": theirs["texts"], "input_type": theirs["input_type"], "encoding_format": "base64"}
    made = read("embeddings", json.dumps(body).encode(), JSON_TYPE).translate(target("cohere"))
    request = made.request("key")
    assert request is not None
    sent = json.loads(request.body)
    assert {n: sent[n] for n in ("texts", "input_type")} == {n: theirs[n] for n in ("texts", "input_type")}
    assert made.answer(exchange.body) is None
    answer = json.loads(made.render(EVIDENCE))
    told = json.loads(exchange.body)
    assert [unpacked(row["embedding"]) for row in answer["data"]] == [
        pytest.approx(vector, rel=1e-6) for vector in told["embeddings"]["float"]
    ]
    assert answer["usage"]["prompt_tokens"] == told["meta"]["billed_units"]["input_tokens"]
    assert made.facts.response_id == told["id"]


def crossed(provider: str, *apis: str) -> Iterator[Exchange]:
    """Recorded exchanges of embeddings whose request was kept."""
    if folder() is not None:
        yield from (e for e in operations(provider, *apis) if e.request.get("body"))


def embedded(exchange: Exchange) -> tuple[str, dict[str, Any], list[list[float]]] | None:
    """Model, the request that a caller of ours would send, and the vectors; None: it is no plain embedding of text."""
    asked, told = exchange.request["body"], json.loads(exchange.body)
    model = re.sub(r".*/models?/([^/]+?)(?::\w+|/\w+)$", r"\1", exchange.request["url"]).replace("%3A", ":")
    if exchange.api == "batchEmbedContents":
        parts = [row["content"]["parts"] for row in asked["requests"]]
        if any(len(each) != 1 or "text" not in each[0] for each in parts):
            return None
        return model, {"input": [each[0]["text"] for each in parts]}, [row["values"] for row in told["embeddings"]]
    if exchange.api == "predict":
        if "embeddings" not in told["predictions"][0]:
            return None
        rows = [row["embeddings"]["values"] for row in told["predictions"]]
        return model, {"input": [row["content"] for row in asked["instances"]]}, rows
    if "inputText" in asked:
        return model, {"input": asked["inputText"]}, [told["embedding"]]
    if "texts" in asked:
        found = told["embeddings"]
        return model, {"input": asked["texts"]}, found["float"] if isinstance(found, dict) else found
    text = asked.get("singleEmbeddingParams", {}).get("text")
    return (model, {"input": text["value"]}, [told["embeddings"][0]["embedding"]]) if text else None


CLOUDS = [
    (kind, exchange, found)
    for kind, exchange in (
        *(("google", e) for e in crossed("gemini", "batchEmbedContents")),
        *(("vertex", e) for e in crossed("vertex", "predict")),
        *(("bedrock", e) for e in crossed("bedrock", "invoke") if "embed" in e.request["url"]),
    )
    if (found := embedded(exchange)) is not None
]


def test_the_recordings_hold_enough_vectors_of_each_cloud() -> None:
    kinds = [kind for kind, _, _ in CLOUDS]
    assert {kind: kinds.count(kind) >= least for kind, least in (("google", 15), ("vertex", 4), ("bedrock", 15))} == {
        "google": True,
        "vertex": True,
        "bedrock": True,
    }


@pytest.mark.parametrize(("kind", "exchange", "found"), [pytest.param(*row, id=row[1].id) for row in CLOUDS])
def test_vectors_of_the_clouds_come_through(
    kind: str, exchange: Exchange, found: tuple[str, dict[str, Any], list[list[float]]]
) -> None:
    model, body, vectors = found
    sent = json.dumps({"model": f"p/{model}", "encoding_format": "base64", **body}).encode()
    made = read("embeddings", sent, JSON_TYPE).translate(target(kind, f"p/{model}"))
    made.facts.headers = exchange.headers
    assert made.request("key") is not None
    assert made.answer(exchange.body) is None
    answer = json.loads(made.render(EVIDENCE))
    assert [unpacked(row["embedding"]) for row in answer["data"]] == [pytest.approx(v, rel=1e-6) for v in vectors]
    told = exchange.headers.get("x-amzn-bedrock-input-token-count")
    if told:
        assert answer["usage"]["prompt_tokens"] == int(told)


@pytest.mark.parametrize(
    "exchange",
    [
        pytest.param(e, id=e.id)
        for provider, api in (("gemini", "countTokens"), ("bedrock", "count-tokens"))
        for e in crossed(provider, api)
    ],
)
def test_counts_of_the_clouds_come_through(exchange: Exchange) -> None:
    kind, model = ("google", "gemini") if exchange.provider == "gemini" else ("bedrock", "anthropic.claude")
    body = json.dumps({"model": f"p/{model}", "messages": [{"role": "user", "content": "x"}]}).encode()
    made = read("messages.count_tokens", body, JSON_TYPE).translate(target(kind, f"p/{model}"))
    assert made.answer(exchange.body) is None
    told = json.loads(exchange.body)
    assert json.loads(made.render(EVIDENCE))["input_tokens"] == told.get("totalTokens", told.get("inputTokens"))
