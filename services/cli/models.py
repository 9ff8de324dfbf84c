"""`turnout models`: what callers can name, as a worker lists it."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import Parameter
from turnout.inference.v1.inference_service_pb2 import ListModelsRequest, ModelInfo
from turnout.inference.v1.inference_service_pb2_grpc import InferenceServiceStub

from services.cli.connection import TIMEOUT_SECONDS, Connection, rpc_errors
from services.cli.output import Fail, out, show_json, show_table
from services.cli.policy_commands import DEFAULT_CONNECTION, Json
from services.cli.workers import addresses_of
from services.core.pricing import PER_MILLION
from services.core.routing.fitness import CANNOT


def models(  # noqa: PLR0913 - one parameter per flag
    text: str = "",
    /,
    *,
    provider: Annotated[tuple[str, ...], Parameter(help="only of this provider; may be repeated")] = (),
    can: Annotated[
        tuple[str, ...], Parameter(help=f"only what is known to: {', '.join(CANNOT)}; may be repeated")
    ] = (),
    kind: str = "",
    max_price: float | None = None,
    context: int = 0,
    dataplane: Annotated[tuple[str, ...], Parameter(help="a worker's gRPC address; default: the first connected")] = (),
    as_json: Json = False,
    connection: Connection = DEFAULT_CONNECTION,
) -> None:
    """List the models that callers can name, with limits and prices.

    Args:
        text: Only models with this in their id or name.
        kind: Only of this kind: chat, embedding, image, speech, transcription, moderation, rerank, router, alias.
        max_price: Only models whose input costs at most so many US dollars per million tokens.
        context: Only models with a context of at least so many tokens.
    """
    unknown = sorted(set(can) - CANNOT.keys())
    if unknown:
        raise Fail(f"--can {unknown[0]}: expected one of {', '.join(CANNOT)}", code=2)
    limit = None if max_price is None else max_price / PER_MILLION
    found = [
        model
        for model in _listed(addresses_of(dataplane, connection)[0], connection)
        if (not provider or model.owned_by in provider)
        and (not kind or model.kind == kind)
        and text.lower() in f"{model.id} {model.display_name}".lower()
        and all(model.capabilities.get(name, False) for name in can)
        and model.context_length >= context
        and (limit is None or ("prompt" in model.pricing and model.pricing["prompt"] <= limit))
    ]
    if as_json:
        show_json(found)
        return
    rows = [_row(model) for model in found]
    show_table(("MODEL", "KIND", "CONTEXT", "OUTPUT", "IN $/M", "OUT $/M"), rows, empty="no model")
    if found:
        out.print(f"[dim]{len(found):,} model{'s' if len(found) != 1 else ''}[/]")


def _listed(address: str, connection: Connection) -> list[ModelInfo]:
    """The models of a worker.

    Raises:
        Fail: It cannot be reached, or the key is not good for it.
    """
    with connection.channel(address) as channel, rpc_errors(address):
        stub: Any = InferenceServiceStub(channel)
        answer = stub.ListModels(ListModelsRequest(), timeout=TIMEOUT_SECONDS, metadata=connection.metadata())
        return list(answer.models)


def _row(model: ModelInfo) -> tuple[object, ...]:
    name = f"{model.id} (deprecated)" if model.deprecated else model.id
    prices = (f"{model.pricing[p] * PER_MILLION:g}" if p in model.pricing else "" for p in ("prompt", "completion"))
    return name, model.kind, model.context_length or "", model.max_output_tokens or "", *prices
