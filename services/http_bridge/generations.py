"""`GET /v1/generation?id=` and what OpenRouter's clients ask about themselves: their key, their credits.

A record is one worker's: all of them are asked. It never holds prompts or answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from turnout.record.v1.record_pb2 import AttemptRecord, RequestRecord

from services.core.errors import NotFound, PermissionDenied, RouterError, Unauthenticated
from services.http_bridge.backend import InferenceBackend
from services.http_bridge.errors import error_response, router_error_response
from services.http_bridge.http import Request, Response, json_response
from services.http_bridge.routing import Route

_PREFIX = "gen-"
_RATE_NOTE = "Turnout limits no rate of its own; providers may."
_UNCOUNTED = {
    "amounts_known": False,
    "note": "Amounts are 0 because nothing is added up here; each answer's usage.cost and the metrics have the costs.",
}
"""Says of amounts that have to be numbers that they are not known."""
_API_TYPES = {
    "embeddings": "embeddings",
    "openrouter.chat.completions": "completions",
    "chat.completions": "completions",
}


class GenerationRoutes:
    """Serves what clients ask about finished requests and about themselves."""

    def __init__(self, backend: InferenceBackend) -> None:
        self._backend = backend

    def routes(self) -> list[Route]:
        """Every route of it."""
        served = {
            "/v1/generation": self.generation,
            "/api/v1/generation": self.generation,
            "/api/v1/key": self.key,
            "/api/v1/auth/key": self.key,
            "/api/v1/credits": self.credits,
        }
        return [Route("GET", path, serve) for path, serve in served.items()]

    async def generation(self, request: Request, parameters: Mapping[str, str]) -> Response:
        """One record, by the id of the request or of its answer."""
        del parameters
        wanted = request.query.get("id", "").removeprefix(_PREFIX)
        if not wanted:
            return error_response(request.path, 400, "`id` is missing; it is a query parameter", code="invalid_request")
        try:
            answers = await self._backend.generations(request.headers, wanted)
            found = [answer for answer in answers if isinstance(answer, RequestRecord)]
            if not found:
                raise _not_found(wanted, answers)
        except RouterError as error:
            return router_error_response(request.path, error)
        newest = max(found, key=lambda record: record.started_at.ToNanoseconds())
        return json_response(200, {"data": generation_form(newest)})

    async def key(self, request: Request, parameters: Mapping[str, str]) -> Response:
        """The caller's key. It has no limit, and nobody adds up what it spends."""
        del parameters
        try:
            key = await self._backend.describe_key(request.headers)
        except RouterError as error:
            return router_error_response(request.path, error)
        return json_response(200, {"data": key_form(key.name, admin="admin" in key.scopes)})

    async def credits(self, request: Request, parameters: Mapping[str, str]) -> Response:
        """There are none: providers bill the operator."""
        del parameters
        try:
            await self._backend.describe_key(request.headers)
        except RouterError as error:
            return router_error_response(request.path, error)
        return json_response(200, {"data": {"total_credits": 0, "total_usage": 0, "turnout": _UNCOUNTED}})


def _not_found(wanted: str, answers: list[RequestRecord | RouterError]) -> RouterError:
    """Why there is no record: the key is no good, nobody has it, or nobody can be asked."""
    errors = [answer for answer in answers if isinstance(answer, RouterError)]
    for error in errors:
        if isinstance(error, (Unauthenticated, PermissionDenied)):
            return error
    if all(not isinstance(error, NotFound) for error in errors) and errors:
        return errors[0]
    return NotFound(f"no worker in reach has a record of request {wanted!r}; each keeps its newest ones")


def generation_form(record: RequestRecord) -> dict[str, Any]:
    """A record as OpenRouter's clients read it; null: not known, or there is no such thing here."""
    usage = record.usage
    served = record.model.partition("/")[0]
    native = record.native_finish_reason or record.finish_reason or None
    form: dict[str, Any] = {
        "id": record.response_id or record.generation_id,
        "request_id": record.generation_id,
        "upstream_id": record.response_id or None,
        "model": record.model or record.requested_model,
        "router": record.router_id or None,
        "provider_name": served or None,
        "provider_responses": [_attempt(attempt) for attempt in record.attempts],
        "created_at": record.started_at.ToJsonString(),
        "streamed": record.stream,
        "cancelled": record.outcome == "cancelled",
        "latency": round(record.time_to_first_token_ms, 1) if record.HasField("time_to_first_token_ms") else None,
        "generation_time": round(record.duration_ms, 1),
        "finish_reason": record.finish_reason or None,
        "native_finish_reason": native,
        **_tokens(record),
        "usage": usage.cost_usd,
        "total_cost": usage.cost_usd,
        "upstream_inference_cost": usage.cost_usd if usage.HasField("cost_usd") else None,
        "is_byok": False,
        "service_tier": usage.service_tier or None,
        "http_referer": record.referer or None,
        "user_agent": record.user_agent or None,
        "origin": record.referer,
        "external_user": None,
        "api_type": _API_TYPES.get(record.api),
        "data_region": "global",
        "session_id": dict(record.caller_trace).get("session_id"),
    }
    missing = (
        "app_id cache_discount moderation_latency preset_id web_search_engine workspace_id"
        " num_fetches num_input_audio_prompt num_media_completion num_media_prompt num_search_results"
        " response_cache_source_id"
    )
    own = {"generation_id": record.generation_id, "outcome": record.outcome, "status": record.status}
    own |= {"route": record.route_id, "variant": record.variant_id, "app_title": record.app_title}
    return {**dict.fromkeys(missing.split()), **form, "turnout": {n: v for n, v in own.items() if v}}


def _tokens(record: RequestRecord) -> dict[str, Any]:
    usage, known = record.usage, record.HasField("usage")
    counts = {
        "tokens_prompt": usage.input_tokens,
        "tokens_completion": usage.output_tokens,
        "native_tokens_prompt": usage.input_tokens,
        "native_tokens_completion": usage.output_tokens,
        "native_tokens_cached": usage.cache_read_tokens,
        "native_tokens_reasoning": usage.reasoning_tokens,
    }
    return {
        **{name: count if known else None for name, count in counts.items()},
        "native_tokens_completion_images": None,
    }


def _attempt(attempt: AttemptRecord) -> dict[str, Any]:
    form: dict[str, Any] = {
        "provider_name": attempt.provider,
        "model_permaslug": attempt.model,
        "status": attempt.status or None,
        "latency": round(attempt.duration_ms, 1),
        "is_byok": False,
    }
    told = {"failure": attempt.failure, "clock": attempt.clock, "verdict": attempt.verdict, "kind": attempt.kind}
    return form | {name: value for name, value in told.items() if value}


def key_form(name: str, *, admin: bool) -> dict[str, Any]:
    """A key as OpenRouter's clients read it.

    Amounts are 0 and not null: the SDK takes numbers only, and refuses the whole answer otherwise. That they are not
    known stands beside them.
    """
    sums = (
        "usage usage_daily usage_weekly usage_monthly byok_usage byok_usage_daily byok_usage_weekly byok_usage_monthly"
    )
    nothing = (
        "limit limit_remaining limit_reset creator_user_id organization_id workspace_id effective_budget expires_at"
    )
    return {
        "label": name,
        **dict.fromkeys(sums.split(), 0),
        **dict.fromkeys(nothing.split()),
        "budgets": [],
        "allowed_data_regions": [],
        "include_byok_in_limit": False,
        "is_free_tier": False,
        "is_management_key": admin,
        "is_provisioning_key": False,
        "rate_limit": {"requests": -1, "interval": "10s", "note": _RATE_NOTE},
        "free_model_daily_requests": {"limit": 0, "remaining": 0, "used": 0},
        "turnout": _UNCOUNTED,
    }
