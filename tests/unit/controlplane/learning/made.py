"""Decisions and outcomes as workers report them."""

from __future__ import annotations

import time
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from turnout.experiment.v1 import experiment_service_pb2 as pb
from turnout.learning.v1.learning_service_pb2 import LearnedDecision

from services.controlplane.learning.rewards import Kept
from services.controlplane.learning.variants import VariantName
from services.runtime.kinds import shipped_kinds

VARIANT = VariantName("r", "d", "v")
KINDS = shipped_kinds().version
START = time.time() - 3_600.0
"""An instant that is not so long ago that it would be forgotten."""
MODELS = ("a/m", "b/m")


def decided(chosen: str = "a/m", kinds: str = KINDS, **more: Any) -> LearnedDecision:
    values: dict[str, Any] = {
        "kinds": kinds,
        "kind": [0],
        "weight": [1.0],
        "models": MODELS,
        "propensities": [0.6, 0.4],
        "expected": [0.5, 0.5],
        "chosen": chosen,
    }
    return LearnedDecision(**{**values, **more})


def outcome(number: int, at: float = 1_000.0, chosen: str = "a/m", **more: Any) -> pb.Outcome:
    learned = more.pop("learned", None) or decided(chosen)
    values: dict[str, Any] = {
        "generation_id": f"g{number}",
        "router_id": "r",
        "route_id": "d",
        "variant_id": "v",
        "at": Timestamp(seconds=int(at), nanos=round(at % 1 * 1e9)),
        "outcome": "ok",
        "finish_reason": "stop",
        "served_model": chosen,
        "cost_usd": 0.01,
        "time_to_first_token_ms": 250.0,
        "learned": learned,
    }
    return pb.Outcome(**{**values, **more})


def recent(number: int, **more: Any) -> pb.Outcome:
    """An outcome of the last hour, in the order of the numbers."""
    return outcome(number, START + number / 10, **more)


def kept(number: int, at: float, user: str = "", served: str = "a/m", **more: Any) -> Kept:
    values: dict[str, Any] = {
        "whole": True,
        "repeated": False,
        "cost": None,
        "seconds": None,
        "message": b"",
        **more,
    }
    return Kept(f"g{number}", at, user, served, **values)
