"""`turnout ramp`."""

from __future__ import annotations

import json

import pytest

from tests.unit.cli.conftest import Turnout
from tests.unit.cli.test_policy_commands import PROVIDER, write

ROUTER = """kind: Router
name: split
default_route:
  route_id: main
  variants:
  - {weight: 80, variant: {variant_id: a, model_id: openai/gpt-5}}
  - {weight: 10, variant: {variant_id: b, model_id: openai/gpt-5-mini}}
  - {weight: 10, variant: {variant_id: c, model_id: openai/gpt-5-nano}}
"""


def slots(admin: Turnout) -> list[str]:
    (found,) = json.loads(admin("get", "router", "split", "--json").out)
    return list(found["default_route"].get("slots", []))


def test_a_ramp_moves_the_changed_share_of_users_and_is_in_the_history(admin: Turnout) -> None:
    admin("apply", "-f", write(f"{PROVIDER}---\n{ROUTER}"))
    assert slots(admin) == []
    dry = admin("ramp", "split", "main", "b=20", "a=70", "--dry-run")
    assert "10.00% of users would move" in dry.out
    assert slots(admin) == []
    ran = admin("ramp", "split", "main", "b=20", "a=70")
    assert "10.00% of users move" in ran.out
    assert slots(admin) == ["0-6999=a", "7000-8999=b", "9000-9999=c"]
    newest = json.loads(admin("history", "--limit", "1", "--json").out)[0]
    assert newest["message"] == "ramp split main b=20 a=70"


def test_the_files_of_the_policy_can_be_applied_again_after_a_ramp(admin: Turnout) -> None:
    admin("apply", "-f", write(f"{PROVIDER}---\n{ROUTER}"))
    admin("ramp", "split", "main", "b=20", "a=70")
    text = ROUTER.replace("weight: 80", "weight: 70").replace(
        "weight: 10, variant: {variant_id: b", "weight: 20, variant: {variant_id: b"
    )
    assert "= unchanged Router/split" in admin("apply", "-f", write(text)).out


def test_a_rollback_brings_every_user_back(admin: Turnout) -> None:
    admin("apply", "-f", write(f"{PROVIDER}---\n{ROUTER}"))
    start = str(json.loads(admin("history", "--limit", "1", "--json").out)[0]["revision"])
    for weights in (("b=60",), ("c=55", "b=5"), ("a=0", "b=100")):
        assert admin("ramp", "split", "main", *weights).code == 0
    assert admin("rollback", start).code == 0
    assert slots(admin) == []


def test_variants_that_are_not_named_share_what_is_left(admin: Turnout) -> None:
    admin("apply", "-f", write(f"{PROVIDER}---\n{ROUTER}"))
    admin("ramp", "split", "main", "b=55")
    (found,) = json.loads(admin("get", "router", "split", "--json").out)
    weights = {w["variant"]["variant_id"]: w["weight"] for w in found["default_route"]["variants"]}
    assert weights == {"a": 40, "b": 55, "c": 5}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("split", "main"), "name the new weights"),
        (("split", "main", "b"), "expected VARIANT=WEIGHT"),
        (("split", "main", "b=101"), "from 0 to 100"),
        (("split", "main", "x=5"), "has no variant 'x'"),
        (("split", "other", "b=5"), "has no route 'other'; it has main"),
        (("nothing", "main", "b=5"), "there is no Router/nothing"),
        (("split", "main", "a=60", "b=50"), "must sum to 100"),
    ],
)
def test_what_is_not_understood_is_told(admin: Turnout, arguments: tuple[str, ...], told: str) -> None:
    admin("apply", "-f", write(f"{PROVIDER}---\n{ROUTER}"))
    found = admin("ramp", *arguments)
    assert found.code != 0
    assert told in found.err
