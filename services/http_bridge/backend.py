"""What the bridge needs of a data plane: the same calls over gRPC and in one process.

The messages are the generated ones of `turnout.inference.v1`, so the gRPC
adapter (`grpc_backend.py`) is the plain stub, and the fused process passes the
worker's own service object. Errors that are not answers (the worker is gone)
are `RouterError`s.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Protocol

from turnout.health.v1.health_service_pb2 import ListTargetHealthResponse
from turnout.inference.v1.inference_service_pb2 import (
    InvokeEvent,
    InvokeRequest,
    InvokeResponse,
    KeyInfo,
    ListModelsResponse,
)
from turnout.record.v1.record_pb2 import RequestRecord

from services.core.errors import RouterError


class InferenceBackend(Protocol):
    """A data plane. Cancelling a call, or closing its iterator, closes the upstream connection."""

    async def invoke(self, request: InvokeRequest) -> InvokeResponse:
        """Serve a request whole."""

    def invoke_stream(self, request: InvokeRequest) -> AsyncGenerator[InvokeEvent, None]:
        """Serve a request as a stream; the first event carries status and headers."""

    async def list_models(self, headers: Mapping[str, str], known_version: str = "") -> ListModelsResponse:
        """The models that the policy can reach; without any when the list still has `known_version`.

        `headers` carry the caller's key (over gRPC: as call metadata).
        """

    async def describe_key(self, headers: Mapping[str, str]) -> KeyInfo:
        """What policy says of the caller's key; `headers` as in `list_models`."""

    async def generations(self, headers: Mapping[str, str], generation_id: str) -> list[RequestRecord | RouterError]:
        """What each worker says when it is asked for a request's record; `headers` as in `list_models`."""

    async def target_health(self, headers: Mapping[str, str]) -> Mapping[str, ListTargetHealthResponse | RouterError]:
        """What each worker knows of targets' health, by worker; the error of one that cannot be asked.

        Raises:
            RouterError: The caller's key is not good for it, or there is no policy yet.
        """

    async def ready(self) -> bool:
        """Whether requests can be served now."""

    async def why_not_ready(self) -> RouterError:
        """What a request that cannot be served now is told: nobody can be reached, or nobody has a policy yet."""

    async def aclose(self) -> None:
        """Let go of connections."""
