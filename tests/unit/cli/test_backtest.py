"""`turnout backtest`, over files and over what workers have."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from services.cli.output import plain
from services.core.policy.documents import ApiKey
from services.core.routing.context import RequestContext
from services.dataplane.kept_facts import kept_facts
from services.dataplane.record_form import record_of
from services.dataplane.trail import Trail
from services.dataplane.translation import TokenUsage
from services.runtime.keys import hash_key
from tests.support.inprocess import policy_set, put_policy
from tests.unit.cli.conftest import Turnout
from tests.unit.cli.suite import ADMIN_KEY, Suite
from tests.unit.dataplane.build import candidate, plan, trail

POLICY = """
- {kind: Provider, name: old, type: openai_compatible, base_url: 'http://old'}
- {kind: Provider, name: new, type: openai_compatible, base_url: 'http://new'}
- {kind: Model, name: old/m, prices: {input_per_million: 10, output_per_million: 10}}
- {kind: Model, name: new/m, prices: {input_per_million: 1, output_per_million: 1}}
- kind: Router
  name: r
  routes:
  - condition: {cel_expression: 'language == "es"'}
    route: {route_id: es, variants: [{weight: 100, variant: {variant_id: v, model_id: new/m}}]}
  default_route: {route_id: rest, variants: [{weight: 100, variant: {variant_id: v, model_id: old/m}}]}
"""


def _trail(number: int, language: str, keys: tuple[str, ...] = ("language",)) -> Trail:
    context = RequestContext("inworld/r", metadata={"language": language})
    return trail(
        generation_id=f"gen-{number}",
        requested_model="inworld/r",
        plan=plan(candidate("old/m"), router_id="r", route_id="rest", variant_id="v"),
        facts=kept_facts(context, keys),
        usage=TokenUsage(100_000, 0),
        cost_usd=1.0,
        outcome="ok",
        status=200,
    )


PAST = [*(_trail(n, "es") for n in range(3)), _trail(3, "de"), _trail(4, "es", ()), trail(generation_id="unread")]


def _split(*weights: int) -> str:
    variants = [
        {"weight": weight, "variant": {"variant_id": name, "model_id": "old/m"}}
        for name, weight in zip("abc", weights, strict=True)
    ]
    router = {"kind": "Router", "name": "r", "default_route": {"route_id": "rest", "variants": variants}}
    return json.dumps(router)


def _in_slot(slot: int) -> Trail:
    name = "a" if slot < 4_000 else "b" if slot < 8_000 else "c"
    found = _trail(slot, "de")
    found.plan = plan(
        candidate("old/m"), router_id="r", route_id="rest", variant_id=name, slot=slot, unit=f"u{slot}", exposed=True
    )
    return found


def _files() -> tuple[str, str]:
    Path("new.yaml").write_text(POLICY)
    lines = [json.dumps(plain(record_of(past, "node"))) for past in PAST]
    Path("past.jsonl").write_text("\n".join(lines) + "\n")
    return "new.yaml", "past.jsonl"


def test_files_are_replayed_without_a_control_plane(turnout: Turnout) -> None:
    policy, records = _files()
    found = json.loads(turnout("backtest", "-f", policy, "--alone", "--records", records, "--json").out)
    assert (found["requests"], found["elsewhere"], found["same"], found["not_decidable"]) == (6, 3, 1, 1)
    assert (found["missing_facts"], found["without_facts"]) == ({"language": 1}, 1)
    assert found["cost_before_usd"] == pytest.approx(4.0)
    assert found["cost_after_usd"] == pytest.approx(3 * 0.1 + 1.0)
    assert found["moves"][0]["to"] == {"router": "r", "route": "es", "variant": "v", "model": "new/m"}
    shown = turnout("backtest", "-f", policy, "--alone", "--records", records).out
    assert "6 requests, 4 decided anew, 3 of them elsewhere" in shown
    assert "(-67.5%)" in shown
    assert "…" not in shown
    assert "not decidable: 1; their records lack what conditions read: language (1)" in shown


def test_variants_that_learn_are_not_decided_anew(turnout: Turnout) -> None:
    policy, records = _files()
    text = POLICY.replace("model_id: new/m", "model_id: new/m, model_selection: {models: [old/m], learned: {}}")
    assert text != POLICY
    Path(policy).write_text(text)
    shown = turnout("backtest", "-f", policy, "--alone", "--records", records).out
    assert "not decidable: 3; their variant chooses by what was learned, and records hold no tables" in shown
    assert "not decidable: 1; their records lack what conditions read: language (1)" in shown


def test_what_workers_have_is_replayed_under_a_draft(admin: Turnout, suite: Suite) -> None:
    key = ApiKey("admin", hash_key(ADMIN_KEY), ("admin",))
    form = {"kind": "ApiKey", "name": key.name, "hash": key.hash, "scopes": list(key.scopes)}
    put_policy(suite.worker, policy_set(form, revision=10**6))
    suite.worker.records._trails.clear()
    for past in PAST:
        suite.worker.records.append(past)
    policy, _ = _files()
    assert admin("draft", "save", "spring", "-f", policy).code == 0
    ran = admin("backtest", "--draft", "spring", "--dataplane", suite.dataplane, "--json")
    assert json.loads(ran.out)["elsewhere"] == 3


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "name the policy to try"),
        (("--draft", "x", "--alone"), "--alone and --draft exclude each other"),
        (("-f", "new.yaml", "--alone", "--records", "none"), "No such file"),
        (("-f", "new.yaml", "--alone", "--records", "new.yaml"), "new.yaml:2: is not a record"),
        (("-f", "bad.yaml", "--alone", "--records", "past.jsonl"), "there is no Provider 'nobody'"),
    ],
)
def test_a_mistake_is_a_sentence_and_code_2(turnout: Turnout, arguments: tuple[str, ...], told: str) -> None:
    _files()
    Path("bad.yaml").write_text("- {kind: Alias, name: a, model: nobody/m}\n- {kind: Model, name: nobody/m}\n")
    ran = turnout("backtest", *arguments)
    assert (ran.code, told in ran.err) == (2, True), ran.err


def test_a_cost_that_is_not_known_is_not_called_nothing(turnout: Turnout) -> None:
    _files()
    Path("unpriced.yaml").write_text(
        POLICY.replace("new/m, prices: {input_per_million: 1, output_per_million: 1}", "new/m")
    )
    Path("some.jsonl").write_text("\n".join(json.dumps(plain(record_of(past, "node"))) for past in PAST[:3]))
    shown = turnout("backtest", "-f", "unpriced.yaml", "--alone", "--records", "some.jsonl").out
    assert "unpriced: 3" in shown
    assert "$0.0" not in shown


def test_other_weights_move_the_slots_that_a_write_would_move(admin: Turnout) -> None:
    provider = json.dumps({"kind": "Provider", "name": "old", "type": "openai_compatible", "base_url": "http://old"})
    Path("now.yaml").write_text(f"[{provider}, {_split(40, 40, 20)}]")
    Path("then.yaml").write_text(_split(20, 40, 40))
    assert admin("apply", "-f", "now.yaml").code == 0
    lines = [json.dumps(plain(record_of(_in_slot(slot), "node"))) for slot in range(50, 10_000, 100)]
    Path("past.jsonl").write_text("\n".join(lines) + "\n")
    found = json.loads(admin("backtest", "-f", "then.yaml", "--records", "past.jsonl", "--json").out)
    assert [(m["from"]["variant"], m["to"]["variant"], m["requests"]) for m in found["moves"][:1]] == [("a", "c", 20)]
    assert (found["elsewhere"], found["same"]) == (20, 80)


def test_a_router_without_a_name_is_the_one_that_a_write_would_name(admin: Turnout) -> None:
    provider = json.dumps({"kind": "Provider", "name": "old", "type": "openai_compatible", "base_url": "http://old"})
    Path("now.yaml").write_text(f"[{provider}, {_split(40, 40, 20)}]")
    unnamed = json.loads(_split(20, 40, 40))
    del unnamed["name"]
    Path("then.yaml").write_text(json.dumps({**unnamed, "display_name": "R"}))
    assert admin("apply", "-f", "now.yaml").code == 0
    lines = [json.dumps(plain(record_of(_in_slot(slot), "node"))) for slot in range(50, 10_000, 100)]
    Path("past.jsonl").write_text("\n".join(lines) + "\n")
    ran = admin("backtest", "-f", "then.yaml", "--records", "past.jsonl", "--json")
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert (found["elsewhere"], found["same"]) == (20, 80)
