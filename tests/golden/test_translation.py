"""Translation pairs, both directions: callers' requests to providers, providers' answers to callers.

`requests/<api>/X.in.json` gives one file per provider type, `answers/<provider type>/X.in.json`
and `errors/<provider type>/X.in.json` one file per API.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.golden.translation.harness import (
    APIS,
    feed_all,
    told_answer,
    told_error,
    told_request,
    translation_for,
    wire_stream,
)
from tests.golden.translation.sdk_types import check_answer, check_frames, check_request
from tests.support.golden import cases, check_json

FOLDER = Path(__file__).parent / "translation"
PROVIDERS = ("openai", "anthropic", "responses")
"""Those that a request goes to when its case does not name others."""

ANSWERING = (*PROVIDERS, "cohere", "mistral", "bedrock", "google")
"""Those with cases of answers and errors."""


CARRIERS = ("authorization", "x-api-key", "api-key", "x-goog-api-key")
"""The headers of which exactly one carries the credential."""


def _cases(part: str, sides: tuple[str, ...]) -> list[tuple[str, str]]:
    return [(side, name) for side in sides for name in cases(FOLDER / part / side, ".in.json")]


def _read(part: str, side: str, name: str) -> Any:
    return json.loads((FOLDER / part / side / f"{name}.in.json").read_text(encoding="utf-8"))


def _streams() -> list[tuple[str, str]]:
    return [(side, name) for side, name in _cases("answers", ANSWERING) if "stream" in _read("answers", side, name)]


@pytest.mark.parametrize(("api", "name"), _cases("requests", tuple(APIS)))
def test_a_request_reaches_the_provider_as_pinned(api: str, name: str) -> None:
    case = _read("requests", api, name)
    for provider in case.get("providers", PROVIDERS):
        told = told_request(api, provider, case)
        if "upstream" in told:
            headers = told["upstream"]["headers"]
            carried = [headers[name] for name in CARRIERS if name in headers]
            assert carried in (["<secret of env:KEY>"], ["Bearer <secret of env:KEY>"])
            beyond = case.get("beyond_the_types", {}).get(provider, ())
            by = "responses" if "/responses" in told["upstream"]["url"] else provider
            check_request(by, told["upstream"]["body"], set(beyond))
        check_json(FOLDER / "requests" / api / f"{name}.{provider}.json", told)


@pytest.mark.parametrize(("provider", "name"), _cases("answers", ANSWERING))
def test_an_answer_reaches_the_caller_as_pinned(provider: str, name: str) -> None:
    case = _read("answers", provider, name)
    for api in APIS:
        told = told_answer(api, provider, case)
        check_json(FOLDER / "answers" / provider / f"{name}.{api}.json", told)
        if api in case.get("beyond_the_types", ()):
            continue
        if "answer" in told:
            check_answer(api, told["answer"])
        elif "closing" in told:
            check_frames(api, [*told["frames"], *told["closing"]])


@pytest.mark.parametrize(("provider", "name"), _cases("errors", ANSWERING))
def test_an_error_reaches_the_caller_as_pinned(provider: str, name: str) -> None:
    case = _read("errors", provider, name)
    for api in APIS:
        check_json(FOLDER / "errors" / provider / f"{name}.{api}.json", told_error(api, provider, case))


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize(("provider", "name"), _streams())
def test_a_stream_that_arrives_byte_by_byte_gives_the_same_frames_and_facts(api: str, provider: str, name: str) -> None:
    case = _read("answers", provider, name)
    data = wire_stream(provider, case["stream"])
    at_once, slowly = (translation_for(api, provider, case) for _ in range(2))
    whole = feed_all(at_once, [data])
    pieces = feed_all(slowly, [data[i : i + 1] for i in range(len(data))])
    assert pieces == whole
    assert slowly.facts == at_once.facts
