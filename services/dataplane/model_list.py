"""What callers can name, with all that is known of it: made once per snapshot, for it may be thousands."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp
from turnout.inference.v1.inference_service_pb2 import ListModelsResponse, ModelInfo

from services.core.policy.parameters import inputs_of, outputs_of, parameters_of, pricing_of
from services.core.policy.resolve import make_target
from services.core.policy.snapshot import Snapshot, Target
from services.core.pricing import prices_at

_PRICES_HOLD = 3_600.0
"""Seconds for which a list keeps the prices that it was made with."""


class ModelLists:
    """The list of the snapshot in force."""

    def __init__(self, wall: Callable[[], float]) -> None:
        self._wall = wall
        self._held = ListModelsResponse()

    async def of(self, snapshot: Snapshot, known_version: str = "") -> ListModelsResponse:
        """The list of `snapshot`; without its models when the caller has this version."""
        now = self._wall()
        version = f"{snapshot.version}.{snapshot.catalogue.version}.{int(now / _PRICES_HOLD)}"
        if known_version == version:
            return ListModelsResponse(version=version)
        if self._held.version != version:
            # Some ten milliseconds for a thousand models: not on the loop that relays tokens.
            self._held = await asyncio.to_thread(_made, snapshot, version, now)
        return self._held


def _made(snapshot: Snapshot, version: str, now: float) -> ListModelsResponse:
    infos = {info.id: info for info in models_of(snapshot, now)}
    return ListModelsResponse(models=[infos[name] for name in sorted(infos)], version=version)


def models_of(snapshot: Snapshot, now: float) -> Iterator[ModelInfo]:
    """Everything that callers can name; of equal ids the last one counts.

    Args:
        now: Seconds since the Unix epoch, for prices that change.
    """
    for provider in snapshot.providers.values():
        for entry in snapshot.catalogue.models_of(provider):
            target = make_target(provider, entry.model, None, snapshot.catalogue)
            yield _info(target, now, deprecated=entry.deprecated)
    for target in snapshot.models.values():
        yield _info(target, now)
    for name, router in snapshot.routers.items():
        shown = router.display_name or name
        yield ModelInfo(id=f"{snapshot.namespace}/{name}", owned_by="router", kind="router", display_name=shown)
    for name, model in snapshot.aliases.items():
        yield ModelInfo(id=name, owned_by="alias", kind="alias", display_name=f"{name} → {model}", upstream_model=model)


def _info(target: Target, now: float, *, deprecated: bool = False) -> ModelInfo:
    info = ModelInfo(
        id=target.model,
        owned_by=target.provider.name,
        display_name=target.display_name or target.model,
        kind=target.kind,
        context_length=target.context_length,
        max_output_tokens=target.max_output_tokens,
        input_modalities=inputs_of(target),
        output_modalities=outputs_of(target),
        supported_parameters=parameters_of(target),
        pricing=pricing_of(prices_at(target.prices, target.spans, now)),
        capabilities={name: said for name, said in asdict(target.capabilities).items() if said is not None},
        upstream_model=target.upstream_model,
        deprecated=deprecated,
    )
    if target.released:
        day = datetime.strptime(target.released, "%Y-%m-%d").replace(tzinfo=UTC)
        info.created_at.CopyFrom(Timestamp(seconds=int(day.timestamp())))
    if target.provider.labels:
        info.labels.update(dict(target.provider.labels))
    return info
