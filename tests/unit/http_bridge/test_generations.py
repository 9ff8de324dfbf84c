"""What OpenRouter's clients ask about finished requests and about themselves, over a scripted backend."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pydantic
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from openrouter.operations import GetCurrentKeyData
from turnout.inference.v1.inference_service_pb2 import KeyInfo
from turnout.record.v1.record_pb2 import AttemptRecord, RequestRecord, Usage

from services.core.errors import NotFound, Overloaded, PermissionDenied, PolicyNotReady, RouterError, Unauthenticated
from services.http_bridge.generations import GenerationRoutes, generation_form, key_form
from services.http_bridge.http import Request
from tests.unit.http_bridge.fakes import Backend

FAILED = AttemptRecord(
    number=1, model="a/m", provider="a", status=503, failure="OVERLOADED", verdict="next", duration_ms=12.04
)
SERVED = AttemptRecord(number=2, model="b/m", provider="b", status=200, success=True, duration_ms=500)
RECORD = RequestRecord(
    generation_id="g",
    response_id="chatcmpl-1",
    api="openrouter.chat.completions",
    requested_model="a/m",
    model="b/m",
    stream=True,
    outcome="ok",
    status=200,
    started_at=Timestamp(seconds=10),
    duration_ms=600,
    time_to_first_token_ms=250,
    finish_reason="length",
    native_finish_reason="max_tokens",
    attempts=[FAILED, SERVED],
    usage=Usage(input_tokens=9, output_tokens=4, cost_usd=0.5),
)


class Workers(Backend):
    """A backend whose workers answer as told."""

    def __init__(self, *answers: RequestRecord | RouterError) -> None:
        super().__init__()
        self.answers = list(answers)
        self.wanted: list[str] = []

    async def generations(self, headers: Mapping[str, str], generation_id: str) -> list[RequestRecord | RouterError]:
        del headers
        self.wanted.append(generation_id)
        return self.answers

    async def describe_key(self, headers: Mapping[str, str]) -> KeyInfo:
        del headers
        if self.error is not None:
            raise self.error
        return KeyInfo(name="mine", scopes=["admin"])


async def asked(backend: Workers, path: str = "/api/v1/generation", **query: str) -> tuple[int, Any]:
    routes = GenerationRoutes(backend)  # type: ignore[arg-type]
    handler = {"generation": routes.generation, "key": routes.key, "credits": routes.credits}[path.rsplit("/", 1)[1]]
    response = await handler(Request("GET", path, {}, query, b""), {})
    return response.status, json.loads(response.body)


async def test_the_worker_that_has_the_record_is_enough() -> None:
    backend = Workers(NotFound("not here"), RECORD, Overloaded("away"))
    status, body = await asked(backend, id="gen-g")
    assert status == 200
    assert backend.wanted == ["g"]
    assert body["data"]["request_id"] == "g"


async def test_of_several_records_the_newest_counts() -> None:
    newer = RequestRecord(generation_id="newer", started_at=Timestamp(seconds=11))
    _, body = await asked(Workers(RECORD, newer), id="chatcmpl-1")
    assert body["data"]["request_id"] == "newer"


@pytest.mark.parametrize(
    ("answers", "status"),
    [
        ((NotFound("no"), NotFound("no")), 404),
        ((NotFound("no"), Overloaded("away")), 404),
        ((Overloaded("away"), Overloaded("away")), 503),
        ((PolicyNotReady("no policy"),), 503),
        ((NotFound("no"), Unauthenticated("no key")), 401),
        ((Overloaded("away"), PermissionDenied("no scope")), 403),
        ((), 404),
    ],
)
async def test_why_there_is_no_record(answers: tuple[RouterError, ...], status: int) -> None:
    found, body = await asked(Workers(*answers), id="g")
    assert found == status
    assert body["error"]["code"] == status


async def test_an_id_is_needed() -> None:
    assert (await asked(Workers()))[0] == 400
    assert (await asked(Workers(), id="gen-"))[0] == 400


def test_a_record_has_the_attempts_and_no_numbers_that_nobody_knows() -> None:
    form = generation_form(RECORD)
    assert form["provider_responses"] == [
        {
            "provider_name": "a",
            "model_permaslug": "a/m",
            "status": 503,
            "latency": 12.0,
            "is_byok": False,
            "failure": "OVERLOADED",
            "verdict": "next",
        },
        {"provider_name": "b", "model_permaslug": "b/m", "status": 200, "latency": 500.0, "is_byok": False},
    ]
    assert (form["latency"], form["generation_time"], form["cancelled"]) == (250.0, 600.0, False)
    assert (form["finish_reason"], form["native_finish_reason"]) == ("length", "max_tokens")
    assert (form["tokens_prompt"], form["tokens_completion"], form["total_cost"]) == (9, 4, 0.5)
    assert form["created_at"] == "1970-01-01T00:00:10Z"
    served = RequestRecord(generation_id="g", usage=Usage(input_tokens=1, service_tier="flex"))
    assert (form["service_tier"], generation_form(served)["service_tier"]) == (None, "flex")
    unknown = generation_form(RequestRecord(generation_id="g", requested_model="a/m", outcome="cancelled"))
    assert unknown["tokens_prompt"] is unknown["latency"] is unknown["upstream_inference_cost"] is None
    assert (unknown["id"], unknown["model"], unknown["cancelled"]) == ("g", "a/m", True)


async def test_a_key_has_no_limit_and_nothing_is_added_up() -> None:
    status, body = await asked(Workers(), "/api/v1/key")
    key = body["data"]
    assert (status, key["label"], key["limit"], key["usage"]) == (200, "mine", None, 0)
    assert key["is_management_key"] is True
    assert key["turnout"]["amounts_known"] is False
    status, body = await asked(Workers(), "/api/v1/credits")
    told = body["data"]
    assert (status, told["total_credits"], told["total_usage"]) == (200, 0, 0)
    assert told["turnout"]["amounts_known"] is False


@pytest.mark.filterwarnings("ignore:warning. .. DEPRECATED:DeprecationWarning")
def test_the_sdk_takes_no_amount_that_is_not_a_number() -> None:
    form = key_form("mine", admin=False)
    assert GetCurrentKeyData.model_validate(form).usage == 0
    for broken in ({**form, "usage": None}, {name: value for name, value in form.items() if name != "usage"}):
        with pytest.raises(pydantic.ValidationError):
            GetCurrentKeyData.model_validate(broken)


@pytest.mark.parametrize("path", ["/api/v1/key", "/api/v1/credits"])
async def test_a_stranger_is_told_nothing(path: str) -> None:
    backend = Workers()
    backend.error = Unauthenticated("who?")
    assert (await asked(backend, path))[0] == 401
