"""Recorded answers for callers of generateContent: the same as for others, and Gemini's own as Google's SDK shows them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from functools import cache
from typing import Any

import httpx
import pytest
from google import genai
from google.genai import errors, types

from services.core.attempts.verdicts import caller_status
from services.core.errors import ChainFailed
from services.dataplane.dialects.gemini import GenerateContent
from services.dataplane.dialects.registry import dialect_of
from services.dataplane.translation import Untranslatable
from tests.replay.corpus import OWN
from tests.replay.exceptions import UNEQUAL
from tests.replay.measure import recorded_of
from tests.replay.reading import read
from tests.replay.run import EVIDENCE, Refused, replay, translation_of
from tests.replay.said import Said
from tests.replay.said_google import chunks_of
from tests.replay.traffic import PROVIDERS, Exchange, exchanges, folder
from tests.support.asking import asked_headers
from tests.unit.dataplane.build import candidate as target

pytestmark = pytest.mark.filterwarnings("ignore:.* is not a valid:UserWarning")
"""The SDK's own, about words that are newer than it is."""
recordings = pytest.mark.skipif(folder() is None, reason="no recordings: set TURNOUT_TRAFFIC")
API = GenerateContent.api
GOOGLES = {"generateContent", "streamGenerateContent"}
CUT = {"own-stream-tools-cut", "own-events-tools-cut", "anthropic-messages-1b92ed8fa8be"}
"""Their model was cut off inside of a call's arguments, which others show as far as they go; an object cannot be cut, so
here the text is its only member."""


def _said(said: Said) -> Said:
    """What survives in Google's words: it counts no tokens that were written to a cache."""
    return replace(said, tokens=replace(said.tokens, cache_write=0))


def _differences(found: Iterable[Exchange]) -> dict[str, str]:
    wrong: dict[str, str] = {}
    compared = 0
    for exchange in found:
        recorded = recorded_of(exchange)
        if exchange.status >= 300 or exchange.id in UNEQUAL or exchange.id in CUT:
            continue
        assert recorded is not None, exchange.id
        compared += 1
        got, wanted = _said(read(API, replay(exchange, API), stream=exchange.stream).said), _said(recorded.said)
        names = [n for n in got.__slots__ if getattr(got, n) != getattr(wanted, n)]
        if got.sources is None or wanted.sources is None:
            names = [n for n in names if n != "sources"]
        if names:
            wrong[exchange.id] = "; ".join(f"{n}: {getattr(wanted, n)!r} became {getattr(got, n)!r}" for n in names)
    assert compared
    return wrong


def test_our_own_corpus_reads_the_same() -> None:
    assert _differences(OWN) == {}


@recordings
@pytest.mark.parametrize("provider", PROVIDERS)
def test_recorded_answers_of_every_provider_read_the_same(provider: str) -> None:
    assert _differences(exchanges(provider)) == {}


def test_arguments_that_were_cut_off_are_shown_as_they_are() -> None:
    found = [e for e in OWN if e.id in CUT]
    assert found
    for exchange in found:
        ((_, args),) = read(API, replay(exchange, API), stream=exchange.stream).said.calls
        assert args.keys() == {"arguments"}
        with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
            json.loads(args["arguments"])


@cache
def _client() -> tuple[genai.Client, dict[str, Any]]:
    canned: dict[str, Any] = {}
    transport = httpx.MockTransport(lambda request: httpx.Response(**canned))
    options = types.HttpOptions(base_url="http://recorded", httpx_client=httpx.Client(transport=transport))
    return genai.Client(api_key="none", http_options=options), canned


def shown(body: bytes, *, stream: bool, status: int = 200) -> list[dict[str, Any]]:
    """What Google's SDK gives of an answer, chunk by chunk, or raises."""
    client, canned = _client()
    kind = "text/event-stream" if stream else "application/json"
    canned.update(status_code=status, content=body, headers={"content-type": kind})
    models = client.models
    if stream:
        answers = list(models.generate_content_stream(model="m", contents="x"))
    else:
        answers = [models.generate_content(model="m", contents="x")]
    return [
        a.model_dump(mode="json", exclude_none=True, exclude={"sdk_http_response", "model_version"}) for a in answers
    ]


def _added(chunks: list[dict[str, Any]]) -> dict[str, Any]:
    """Chunks added up: all parts that say something, and the last of everything else."""
    whole: dict[str, Any] = {"parts": []}
    for chunk in chunks:
        whole.update({name: value for name, value in chunk.items() if name != "candidates"})
        for candidate in chunk.get("candidates", ()):
            index = candidate.get("index", 0)
            parts = candidate.pop("content", {}).get("parts", [])
            whole["parts"] += [(index, part) for part in parts if part not in ({"text": ""}, {})]
            for name, value in candidate.items():
                whole[f"{index}/{name}"] = value
    return whole


@recordings
@pytest.mark.parametrize("provider", ["gemini", "vertex"])
def test_googles_sdk_shows_what_was_recorded(provider: str) -> None:
    compared = 0
    for exchange in exchanges(provider):
        if exchange.api not in GOOGLES or exchange.status != 200 or exchange.id in UNEQUAL:
            continue
        if exchange.body.lstrip().startswith(b"["):
            continue  # chunks in a list, which the SDK never asks for
        try:
            theirs = shown(exchange.body, stream=exchange.stream)
        except (AttributeError, ValueError):
            continue  # enumerations as numbers, and proofs that are no base64: the SDK cannot read them itself
        assert _added(shown(replay(exchange, API), stream=exchange.stream)) == _added(theirs), exchange.id
        compared += 1
    assert compared > 50


@recordings
@pytest.mark.parametrize("provider", ["gemini", "vertex"])
def test_whole_answers_keep_every_member_but_ours(provider: str) -> None:
    compared = 0
    for exchange in exchanges(provider):
        if exchange.api in GOOGLES and exchange.status == 200 and not exchange.stream and exchange.id not in UNEQUAL:
            recorded = json.loads(exchange.body)
            if isinstance(recorded, dict):
                ours = json.loads(replay(exchange, API))
                assert ours.pop("metadata") == {"attempts": []}
                assert ours.pop("modelVersion") == "rec/model"
                recorded.pop("modelVersion", None)
                ours.get("usageMetadata", {}).pop("cost", None)
                assert ours == recorded, exchange.id
                compared += 1
    assert compared > 50


def _refused() -> list[Exchange]:
    if folder() is None:
        return []
    found = [e for p in ("gemini", "vertex") for e in exchanges(p) if e.id in UNEQUAL and UNEQUAL[e.id].kind]
    return [e for e in found if e.api in GOOGLES]


@pytest.mark.parametrize("exchange", _refused(), ids=lambda e: e.id)
def test_a_failure_inside_a_success_is_an_error_of_googles_sdk(exchange: Exchange) -> None:
    with pytest.raises(Refused) as refused:
        replay(exchange, API)
    failure = refused.value.failure
    error = ChainFailed(failure.message, failure=failure, status=caller_status(failure))
    if exchange.stream:
        body = refused.value.frames + translation_of(exchange, API).broken(error, EVIDENCE)
        status = 200
        assert all("finishReason" not in c for chunk in chunks_of(body) for c in chunk.get("candidates", ()))
    else:
        status, body = dialect_of(API).error(error, EVIDENCE)
    with pytest.raises(errors.APIError) as raised:
        shown(body, stream=exchange.stream, status=status)
    assert raised.value.code == error.status


OTHERS = ("openai", "anthropic", "cohere", "mistral", "bedrock")


def _asked(provider: str) -> list[dict[str, Any]]:
    found = [e.request.get("body") for e in exchanges(provider) if e.api in GOOGLES and e.status == 200]
    return [body for body in found if isinstance(body, dict) and body.get("contents")]


@recordings
@pytest.mark.parametrize("provider", ["gemini", "vertex"])
def test_recorded_requests_pass_as_they_are_and_are_read_for_others(provider: str) -> None:
    asked = _asked(provider)
    assert len(asked) > 20
    read_whole = 0
    for body in asked:
        inbound = dialect_of(API).read(json.dumps(body).encode(), asked_headers(API))
        sent = inbound.translate(target("p/gemini-2.5-pro", "vertex")).request("key")
        assert sent is not None
        assert json.loads(sent.body) == {name: value for name, value in body.items() if name != "model"}
        for kind in OTHERS:
            # A real request is never malformed, though another provider may lack what it asks for.
            with suppress(Untranslatable):
                inbound.translate(target("p/m", kind)).request("key")
                read_whole += 1
    assert read_whole > len(asked) * 2
