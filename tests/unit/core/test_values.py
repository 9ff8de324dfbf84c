"""The core deals in values: nothing in it can be changed after it was made."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from typing import Any

import pytest

import services.core

MODULES = [info.name for info in pkgutil.walk_packages(services.core.__path__, "services.core.")]
VALUES = {
    f"{name}.{value.__name__}": value
    for name in MODULES
    for value in vars(importlib.import_module(name)).values()
    if isinstance(value, type) and dataclasses.is_dataclass(value) and value.__module__ == name
}


@pytest.mark.parametrize("name", sorted(VALUES))
def test_a_dataclass_of_the_core_is_frozen_and_has_slots(name: str) -> None:
    kind: Any = VALUES[name]
    assert kind.__dataclass_params__.frozen
    assert "__slots__" in vars(kind)


def test_there_are_values_in_every_part_of_the_core() -> None:
    assert {name.split(".")[2] for name in VALUES} >= {"attempts", "discovery", "errors", "policy", "routing"}
