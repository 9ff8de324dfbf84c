"""The lists of models: OpenAI's, OpenRouter's and Anthropic's under one path, Google's and Inworld's under their own.

A list may hold thousands of models. It is asked for by version, so that a worker sends it only when it has
changed, and each shape of the whole list is rendered once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from turnout.inference.v1.inference_service_pb2 import ListModelsResponse, ModelInfo

from services.core.errors import RouterError
from services.http_bridge.backend import InferenceBackend
from services.http_bridge.errors import error_response, router_error_response
from services.http_bridge.gemini import GOOGLE, PUBLISHERS, published, with_key
from services.http_bridge.http import JSON, Request, Response, json_response
from services.http_bridge.model_forms import (
    anthropic_form,
    endpoints_form,
    google_form,
    inworld_form,
    openai_form,
    publisher_form,
)
from services.http_bridge.routing import Route
from services.runtime.catalogue.names import provider_id, rank

_ENDPOINTS = "/endpoints"
_MAX_PAGE = 1_000
Models = Sequence[ModelInfo]


@dataclass(frozen=True, slots=True)
class _List:
    """One version of the list, and what was rendered of it, by shape."""

    answer: ListModelsResponse
    rendered: dict[str, bytes] = field(default_factory=dict)

    @property
    def models(self) -> Models:
        return self.answer.models


class ModelRoutes:
    """Serves the lists of models."""

    def __init__(self, backend: InferenceBackend) -> None:
        self._backend = backend
        self._held = _List(ListModelsResponse())

    def routes(self) -> list[Route]:
        """Every route of it."""
        lists = [Route("GET", path, self.list) for path in ("/v1/models", "/api/v1/models")]
        single = [Route("GET", path + "/{id...}", self.get) for path in ("/v1/models", "/api/v1/models")]
        google = [Route("GET", "/v1beta/models", self.google), Route("GET", "/v1beta/models/{id...}", self.google_one)]
        vertex = [Route("GET", path, self.vertex) for path in PUBLISHERS]
        vertex += [Route("GET", path + "/{id...}", self.vertex_one) for path in PUBLISHERS]
        return [*lists, *single, *google, *vertex, Route("GET", "/llm/v1alpha/models", self.inworld)]

    async def list(self, request: Request, parameters: Mapping[str, str]) -> Response:
        """All models that the query lets through."""
        if _is_google(request):
            return await self.google(request, parameters)
        del parameters
        try:
            held = await self._list(request)
        except RouterError as error:
            return router_error_response(request.path, error)
        found = _filtered(held.models, request.query)
        if _is_anthropic(request):
            page = _anthropic_page(found, request.query)
            return await _answer("anthropic", held, page, lambda some: _anthropic_list(some, found, request.query))
        page = _page(found, request.query)
        return await _answer("openai", held, page, lambda some: _openai_list(some, len(found)))

    async def inworld(self, request: Request, parameters: Mapping[str, str]) -> Response:
        """Inworld's list."""
        del parameters
        try:
            held = await self._list(request)
        except RouterError as error:
            return router_error_response(request.path, error)
        found = _filtered(held.models, request.query)
        return await _answer("inworld", held, found, lambda some: {"models": [inworld_form(m) for m in some]})

    async def google(self, request: Request, parameters: Mapping[str, str]) -> Response:
        """Google's list, in pages."""
        del parameters
        try:
            held = await self._list(with_key(request))
        except RouterError as error:
            return router_error_response(request.path, error)
        page, token = _google_page(held.models, request.query)
        return await _answer("google", held, page, lambda some: {"models": [google_form(m) for m in some], **token})

    async def vertex(self, request: Request, parameters: Mapping[str, str]) -> Response:
        """A publisher's models as Vertex AI lists them, in pages. Google's list has all: its SDKs ask for no other."""
        publisher = parameters["publisher"]
        try:
            held = await self._list(with_key(request))
        except RouterError as error:
            return router_error_response(request.path, error)
        found = [m for m in held.models if publisher == GOOGLE or m.id.startswith(f"{publisher}/")]
        page, token = _google_page(found, request.query)
        return await _answer(
            "vertex", held, page, lambda some: {"publisherModels": [publisher_form(m) for m in some], **token}
        )

    async def vertex_one(self, request: Request, parameters: Mapping[str, str]) -> Response:
        """One model as Vertex AI tells of it."""
        wanted = published(parameters["publisher"], parameters["id"])
        return await self._one(request, wanted, publisher_form)

    async def google_one(self, request: Request, parameters: Mapping[str, str]) -> Response:
        """One model as Google tells of it."""
        return await self._one(request, parameters["id"], google_form)

    async def _one(self, request: Request, wanted: str, form: Callable[[ModelInfo], Any]) -> Response:
        """One model in one of Google's forms."""
        try:
            found = _named((await self._list(with_key(request))).models, wanted)
        except RouterError as error:
            return router_error_response(request.path, error)
        if found is None:
            return error_response(request.path, 404, f"the model {wanted!r} is not listed", code="model_not_found")
        return json_response(200, form(found))

    async def get(self, request: Request, parameters: Mapping[str, str]) -> Response:
        """One model, its id may hold slashes; or who serves it, or how many there are."""
        if _is_google(request):
            return await self.google_one(request, parameters)
        wanted = parameters["id"]
        try:
            models = (await self._list(request)).models
        except RouterError as error:
            return router_error_response(request.path, error)
        if request.path.startswith("/api/") and wanted == "count":
            return json_response(200, {"data": {"count": len(_filtered(models, request.query))}})
        if request.path.startswith("/api/") and wanted == "user":
            return await self.list(request, parameters)
        if wanted.endswith(_ENDPOINTS):
            wanted = wanted.removesuffix(_ENDPOINTS)
            found = _named(models, wanted)
            if found is not None:
                return json_response(200, {"data": endpoints_form(found, _serving(models, found, wanted))})
        found = _named(models, wanted)
        if found is not None:
            return json_response(200, anthropic_form(found) if _is_anthropic(request) else openai_form(found))
        return error_response(request.path, 404, f"the model {wanted!r} is not listed", code="model_not_found")

    async def _list(self, request: Request) -> _List:
        """The list; the caller's key is checked every time, the models are sent only when they have changed.

        Raises:
            RouterError: The key may not see them, or there is no policy yet.
        """
        known = self._held
        answer = await self._backend.list_models(request.headers, known.answer.version)
        if answer.version and answer.version == known.answer.version:
            return known
        self._held = _List(answer)
        return self._held


async def _answer(shape: str, held: _List, found: Models, render: Callable[[Models], Any]) -> Response:
    """The list in a shape; the whole one is rendered once per version, and beside the loop."""
    if len(found) < len(held.models):
        return json_response(200, render(found))
    body = held.rendered.get(shape)
    if body is None:
        body = held.rendered[shape] = await asyncio.to_thread(lambda: msgspec.json.encode(render(found)))
    return Response(200, body, {"content-type": JSON})


def _is_google(request: Request) -> bool:
    """Whether one of Google's SDKs asks, at an address that it shares with OpenAI's."""
    return "x-goog-api-client" in request.headers or "x-goog-api-key" in request.headers


def _is_anthropic(request: Request) -> bool:
    return "anthropic-version" in request.headers


def _google_page(models: Models, query: Mapping[str, str]) -> tuple[Models, dict[str, str]]:
    """A page of Google's, and where the next one begins."""
    start = _number(query, "pageToken")
    size = min(_number(query, "pageSize"), _MAX_PAGE) or len(models)
    more = start + size < len(models)
    return models[start : start + size], {"nextPageToken": str(start + size)} if more else {}


def _openai_list(models: Models, total: int) -> dict[str, Any]:
    return {"object": "list", "data": [openai_form(m) for m in models], "total_count": total, "links": {"next": None}}


def _anthropic_page(models: Models, query: Mapping[str, str]) -> Models:
    """A page of Anthropic's list; without a limit, everything: clients that look once see it all."""
    ids = [m.id for m in models]
    start, end = 0, len(ids)
    if query.get("after_id") in ids:
        start = ids.index(query["after_id"]) + 1
    if query.get("before_id") in ids:
        end = ids.index(query["before_id"])
    size = min(_number(query, "limit"), _MAX_PAGE) or end - start
    if _is_backwards(query):
        return models[max(start, end - size) : end]
    return models[start : min(end, start + size)]


def _is_backwards(query: Mapping[str, str]) -> bool:
    return "before_id" in query and "after_id" not in query


def _anthropic_list(page: Models, models: Models, query: Mapping[str, str]) -> dict[str, Any]:
    first, last = (page[0].id, page[-1].id) if page else (None, None)
    more = bool(page) and (first != models[0].id if _is_backwards(query) else last != models[-1].id)
    return {"data": [anthropic_form(m) for m in page], "has_more": more, "first_id": first, "last_id": last}


def _page(models: Models, query: Mapping[str, str]) -> Models:
    """OpenRouter's page: `offset` and `limit`."""
    start = _number(query, "offset")
    limit = _number(query, "limit")
    return models[start : start + limit] if limit else models[start:]


def _number(query: Mapping[str, str], name: str) -> int:
    """A whole number of the query; 0: there is none, or what is there is no number."""
    text = query.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def _words(query: Mapping[str, str], name: str) -> set[str]:
    return {word for word in query.get(name, "").split(",") if word and word != "all"}


def _filtered(models: Models, query: Mapping[str, str]) -> Models:
    """Those that OpenRouter's query parameters let through."""
    text = query.get("q", "").lower()
    providers = _words(query, "providers") | _words(query, "provider")
    context = _number(query, "context")
    wanted = [
        (words, field)
        for name, field in (
            ("supported_parameters", "supported_parameters"),
            ("input_modalities", "input_modalities"),
            ("output_modalities", "output_modalities"),
        )
        if (words := _words(query, name))
    ]
    if not (text or providers or context or wanted):
        return models
    return [
        m
        for m in models
        if all(words <= set(getattr(m, field)) for words, field in wanted)
        and (not providers or m.owned_by in providers)
        and m.context_length >= context
        and (text in m.id.lower() or text in m.display_name.lower())
    ]


def _named(models: Models, wanted: str) -> ModelInfo | None:
    """The model that `wanted` names: by its id, or without the provider before it, if one has it."""
    exact = next((m for m in models if m.id == wanted), None)
    if exact is not None:
        return exact
    tails = [m for m in models if m.id.endswith(f"/{wanted}")]
    # The shortest is no gateway's: those have the author in between. Then who is best known.
    return min(tails, key=lambda m: (m.id.count("/"), rank(provider_id(m.owned_by)), m.id)) if tails else None


def _serving(models: Models, found: ModelInfo, wanted: str) -> Models:
    """Who serves a model under the same name, it itself first."""
    bare = found.id.rpartition("/")[2]
    tails = {bare, found.id, wanted}
    others = [m for m in models if m.id != found.id and m.kind == found.kind and m.id.partition("/")[2] in tails]
    return [found, *others]
