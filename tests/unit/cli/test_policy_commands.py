"""Commands over policy: what people see, what machines see, and the exit codes that scripts rely on."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
import yaml

from tests.unit.cli.conftest import Turnout
from tests.unit.cli.suite import Suite

PROVIDER = "kind: Provider\nname: openai\ntype: openai\n"
ALIAS = "kind: Alias\nname: best\nmodel: openai/gpt-5\n"
ROUTER = """kind: Router
name: rules
routes:
- condition: {cel_expression: 'tier == "premium"'}
  route: {route_id: premium, variants: [{weight: 100, variant: {variant_id: v, model_id: openai/gpt-5}}]}
default_route: {route_id: rest, variants: [{weight: 100, variant: {variant_id: w, model_id: openai/gpt-5-mini}}]}
"""


def write(text: str, name: str = "policy.yaml") -> str:
    Path(name).write_text(text)
    return name


def test_a_policy_is_applied_and_every_change_shown(admin: Turnout) -> None:
    first = admin("apply", "-f", write(f"{PROVIDER}---\n{ALIAS}"))
    assert first.code == 0
    assert "+ created   Provider/openai" in first.out
    assert "written; store is at revision" in first.out
    again = admin("apply", "-f", write(f"{PROVIDER}---\n{ALIAS.replace('gpt-5', 'gpt-6')}"))
    assert "= unchanged Provider/openai" in again.out
    assert "~ updated   Alias/best" in again.out


def test_a_dry_run_says_would_and_writes_nothing(admin: Turnout) -> None:
    dry = admin("apply", "--dry-run", "-f", write(PROVIDER))
    assert "would be written at" in dry.out
    assert admin("get").out == "no documents\n"


def test_json_is_for_machines(admin: Turnout) -> None:
    answer = json.loads(admin("apply", "--json", "-f", write(PROVIDER)).out)
    assert answer["changes"][0]["name"] == {"kind": "Provider", "name": "openai"}
    (document,) = json.loads(admin("get", "provider", "--json").out)
    assert (document["kind"], document["name"], document["type"]) == ("Provider", "openai", "openai")
    assert document["etag"]


def test_what_is_got_can_be_applied_again(admin: Turnout) -> None:
    admin("apply", "-f", write(f"{PROVIDER}---\n{ROUTER}"))
    text = admin("get").out
    assert {d["kind"] for d in yaml.safe_load_all(text)} == {"Provider", "Router"}
    assert admin("diff", "-f", write(text)).code == 0
    one = admin("get", "Routers", "rules").out
    assert yaml.safe_load(one)["name"] == "rules"


def test_a_bad_policy_is_refused_with_every_problem_and_code_2(admin: Turnout) -> None:
    bad = admin("apply", "-f", write(f"{ALIAS}---\n{ROUTER}"))
    assert bad.code == 2
    assert bad.out == ""
    lines = [line for line in bad.err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 3
    assert any("Alias/best model" in line for line in lines)


def test_files_and_folders_are_read_and_all_their_problems_told_at_once(admin: Turnout) -> None:
    Path("folder/deep").mkdir(parents=True)
    Path("folder/a.yaml").write_text("kind: Provider\nname: p\ntpye: openai\n")
    Path("folder/deep/b.yml").write_text("kind: Nothing\n")
    Path("folder/ignored.txt").write_text("nonsense: [")
    told = admin("apply", "-f", "folder")
    assert told.code == 2
    assert "folder/a.yaml: Provider/p tpye: unknown field; did you mean 'type'?" in told.err
    assert "folder/deep/b.yml: Nothing/ kind: expected one of" in told.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("apply",), "name a policy file or folder with -f"),
        (("apply", "-f", "missing.yaml"), "missing.yaml: No such file or directory"),
        (("apply", "-f", "."), "no policy file (*.yaml, *.yml, *.json) in this folder"),
        (("get", "Provdier"), "unknown kind 'Provdier'; known are Provider"),
        (("simulate", "m", "-m", "novalue"), "expected KEY=VALUE"),
        (("simulate", "m", "--cached", "0.5"), "expected MODEL=SHARE"),
        (("simulate", "m", "--cached", "m=half"), "expected MODEL=SHARE"),
    ],
)
def test_a_mistake_on_the_command_line_is_a_sentence_and_code_2(
    admin: Turnout, arguments: tuple[str, ...], words: str
) -> None:
    told = admin(*arguments)
    assert (told.code, told.out) == (2, "")
    assert words in told.err
    assert "Traceback" not in told.err


def test_standard_input_is_a_file_too(admin: Turnout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(PROVIDER))
    assert admin("apply", "-f", "-").code == 0


def test_a_difference_is_shown_and_is_code_1(admin: Turnout) -> None:
    admin("apply", "-f", write(f"{PROVIDER}---\n{ALIAS}"))
    same = admin("diff", "-f", "policy.yaml")
    assert (same.code, same.out) == (0, "no difference\n")
    moved = admin("diff", "-f", write(ALIAS.replace("gpt-5", "gpt-6")))
    assert moved.code == 1
    assert "-model: openai/gpt-5" in moved.out
    assert "+model: openai/gpt-6" in moved.out
    as_json = admin("diff", "--json", "-f", "policy.yaml")
    assert json.loads(as_json.out)[0]["action"] == "ACTION_UPDATED"


def test_validation_works_over_the_store_and_offline(admin: Turnout) -> None:
    assert admin("validate", "-f", write(ALIAS)).code == 2
    admin("apply", "-f", write(PROVIDER))
    good = admin("validate", "-f", write(ALIAS))
    assert (good.code, good.out) == (0, "valid: 1 document\n")
    alone = admin("validate", "--offline", "-f", "policy.yaml")
    assert alone.code == 2
    assert "error: Alias/best model: " in alone.err
    both = admin("validate", "--offline", "--json", "-f", write(f"{PROVIDER}---\n{ALIAS}"))
    assert json.loads(both.out) == {"valid": True, "problems": []}


def test_a_document_is_deleted_unless_others_need_it(admin: Turnout) -> None:
    admin("apply", "-f", write(f"{PROVIDER}---\n{ALIAS}"))
    used = admin("delete", "provider", "openai")
    assert used.code == 1
    assert "in use by Alias/best" in used.err
    assert "- deleted Alias/best" in admin("delete", "aliases".removesuffix("es"), "best").out
    assert admin("delete", "Provider", "openai").code == 0
    assert "there is no Provider/openai" in admin("delete", "Provider", "openai").err


def test_a_simulation_shows_the_plan_and_why(admin: Turnout) -> None:
    admin("apply", "-f", write(f"{PROVIDER}---\n{ROUTER}"))
    shown = admin("simulate", "inworld/rules", "-m", "tier=premium", "--user", "ann")
    assert shown.code == 0
    assert "rules → premium → v" in shown.out
    assert "1. openai/gpt-5" in shown.out
    assert 'tier == "premium" is true' in shown.out
    assert 'condition  tier == "premium"' in shown.out
    assert "not known here: health" in shown.out
    as_json = json.loads(admin("simulate", "inworld/rules", "-m", "tier=3", "--json").out)
    assert (as_json["route_id"], as_json["candidates"]) == ("rest", ["openai/gpt-5-mini"])
    nothing = admin("simulate", "inworld/none")
    assert (nothing.code, "there is no router 'none'" in nothing.out) == (1, True)
    Path("body.json").write_text('{"model":"inworld/rules","metadata":{"tier":"premium"},"messages":[]}')
    assert "premium" in admin("simulate", "--body", "body.json").out
    overlay = admin("simulate", "best", "-f", write(ALIAS))
    assert "1. openai/gpt-5" in overlay.out


PRICED = """kind: Model
name: openai/{name}
prices: {{input_per_million: {price}, output_per_million: 4, cache_read_per_million: 0.1}}
"""


def test_a_simulation_shows_what_of_a_session_is_cached(admin: Turnout) -> None:
    documents = [PROVIDER, PRICED.format(name="a", price=1), PRICED.format(name="b", price=1.5)]
    assert admin("apply", "-f", write("---\n".join(documents))).code == 0
    Path("body.json").write_text('{"model":"auto","models":["openai/a","openai/b"],"sort":["price"],"messages":[]}')
    shown = admin("simulate", "--body", "body.json", "--session", "s", "--cached", "openai/b=0.9").out.splitlines()
    assert [line.split() for line in shown[:3]] == [
        ["CANDIDATE", "PRICE", "PROMPT", "CACHE"],
        ["1.", "openai/b", "1.18", "0.9"],
        ["2.", "openai/a", "1.75", "-"],
    ]


def test_workers_are_shown_with_what_they_run(admin: Turnout, suite: Suite) -> None:
    applied = json.loads(admin("apply", "--json", "-f", write(PROVIDER)).out)
    while True:
        answer = json.loads(admin("nodes", "--json").out)
        if answer.get("nodes") and answer["nodes"][0].get("applied_revision") == applied["revision"]:
            break
    shown = admin("nodes").out
    assert shown.splitlines()[0].split() == ["NODE", "ADDRESS", "REVISION", "VERSION", "CATALOGUE", "STATE"]
    assert "worker-1" in shown
    assert shown.splitlines()[1].endswith("current")
    assert suite.worker.holder.held.revision == int(applied["revision"])


def test_a_key_is_made_once_listed_and_revoked(admin: Turnout) -> None:
    made = admin("keys", "create", "ci", "--scope", "inference", "--scope", "read")
    key = made.out.strip()
    assert key.startswith("to-")
    assert "key ci with scopes inference, read; it is not shown again" in made.err
    as_json = json.loads(admin("keys", "create", "other", "--json").out)
    assert as_json["scopes"] == ["inference"]
    listed = admin("keys", "list").out
    assert "ci" in listed
    assert key not in listed
    names = json.loads(admin("keys", "list", "--json").out)
    assert names == [{"name": "ci", "scopes": ["inference", "read"]}, {"name": "other", "scopes": ["inference"]}]
    assert "- revoked ci" in admin("keys", "revoke", "ci").out
    assert "ApiKey/other exists already" in admin("keys", "create", "other").err
    assert admin("keys", "create", "odd", "--scope", "root").code == 2


def test_an_unknown_key_is_told_and_not_repeated(admin: Turnout) -> None:
    told = admin("get", "--api-key", "to-wrong-key")
    assert told.code == 1
    assert told.err == "error: the API key is not known\n"
