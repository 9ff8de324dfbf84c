"""What a provider itself says that an answer costs."""

from __future__ import annotations

from typing import Any

import pytest

from services.dataplane.providers.openai_wire import decode_answer, to_usage
from services.dataplane.providers.told_cost import told_cost


@pytest.mark.parametrize(
    ("arguments", "dollars"),
    [
        ((0.00014,), 0.00014),
        ((0,), 0.0),
        (({"input_tokens_cost": 0.1, "total_cost": 0.25},), 0.25),
        ((None, None, 37_756_000), 0.0037756),
        # With the caller's own key `cost` is the fee alone.
        ((0.001, {"upstream_inference_cost": 0.02}, None, True), 0.021),
        ((0.02, {"upstream_inference_cost": 0.02}, None, False), 0.02),
        ((0.001, {"upstream_inference_cost": None}, None, True), 0.001),
        ((None,), None),
        (("0.1",), None),
        ((True,), None),
        ((-1,), None),
        ((float("nan"),), None),
        (({},), None),
        ((None, None, "many"), None),
    ],
)
def test_a_told_cost_is_dollars_or_nothing(arguments: tuple[Any, ...], dollars: float | None) -> None:
    assert told_cost(*arguments) == (dollars if dollars is None else pytest.approx(dollars, abs=1e-12))


@pytest.mark.parametrize(
    ("cost", "dollars"), [(b"0.5", 0.5), (b'{"total_cost":0.25}', 0.25), (b'"free"', None), (b"[1]", None)]
)
def test_an_answers_own_cost_is_read_whatever_it_is(cost: bytes, dollars: float | None) -> None:
    answer = decode_answer(b'{"usage":{"prompt_tokens":1,"completion_tokens":1,"cost":' + cost + b"}}")
    assert answer.usage is not None
    assert to_usage(answer.usage).cost_usd == dollars
