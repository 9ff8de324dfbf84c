"""Every API has a name that everybody who tells APIs apart knows."""

from __future__ import annotations

from services.dataplane.dialects.registry import OPERATION_DIALECTS
from services.dataplane.inference_service import _APIS
from services.runtime.spans import operation_of


def test_every_operation_is_an_api_of_the_worker_and_an_operation_of_its_own_in_traces() -> None:
    names = {dialect.api for dialect in OPERATION_DIALECTS}
    assert names <= set(_APIS.values())
    assert {name for name in _APIS.values() if operation_of(name) != "chat"} == names
