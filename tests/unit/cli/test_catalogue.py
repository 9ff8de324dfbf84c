"""The catalogue from the command line: shown, made anew, pushed to workers; and the models that come of it."""

from __future__ import annotations

import json
import time
from pathlib import Path

from services.runtime.keys import hash_key
from tests.unit.cli.conftest import Turnout
from tests.unit.cli.suite import ADMIN_KEY, Suite

FILE = (
    '{"made":"by hand"}\n'
    '{"provider":"anthropic"}\n{"id":"claude-x","prices":{"input_per_million":1,"output_per_million":2}}\n'
    '{"provider":"openai"}\n'
    '{"id":"gpt-x","context_length":9,"capabilities":{"tools":true},'
    '"prices":{"input_per_million":3,"output_per_million":4}}\n'
    '{"id":"gpt-y","kind":"embedding","prices":{"input_per_million":0.5}}\n'
)
POLICY = f"""
{{kind: Provider, name: openai, type: openai}}
---
{{kind: Provider, name: local, type: openai_compatible, base_url: "http://10.0.0.7/v1"}}
---
{{kind: Alias, name: best, model: openai/gpt-5}}
---
{{kind: ApiKey, name: here, hash: "{hash_key(ADMIN_KEY)}", scopes: [read]}}
"""


def test_the_shipped_catalogue_is_shown_by_provider_and_by_model(turnout: Turnout) -> None:
    told = turnout("catalogue", "show")
    assert told.code == 0
    assert "openrouter" in told.out
    assert "genai-prices" in told.out
    held = json.loads(turnout("catalogue", "show", "--json").out)
    assert held["providers"]["openai"] > 50
    assert held["version"] in told.out
    models = json.loads(turnout("catalogue", "show", "anthropic", "--json").out)
    assert "claude-sonnet-4-5" in {m["id"] for m in models}
    assert "claude-sonnet-4-5" in turnout("catalogue", "show", "anthropic").out
    assert "no provider nobody" in turnout("catalogue", "show", "nobody").err


def test_a_catalogue_is_made_anew_in_a_file_of_ones_own(turnout: Turnout, tmp_path: Path) -> None:
    made = turnout("catalogue", "refresh", "--file", "mine.jsonl")
    assert made.code == 0
    assert "6," in made.out
    assert "nothing changed" in turnout("catalogue", "refresh", "--file", "mine.jsonl").out
    assert (tmp_path / "mine.jsonl").stat().st_size > 1_000_000
    assert turnout("catalogue", "refresh", "--file", "no/such/folder").code == 1


def test_a_file_that_is_no_catalogue_is_told(turnout: Turnout, tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text("nonsense")
    for file in ("bad.jsonl", "missing.jsonl"):
        told = turnout("catalogue", "show", "--file", file)
        assert (told.code, "Traceback" in told.err) == (2, False)
        assert file in told.err


def _models(suite: Suite, admin: Turnout, *arguments: str) -> dict[str, dict[str, object]]:
    told = admin("models", "--json", "--dataplane", suite.dataplane, *arguments)
    assert told.code == 0, told.err
    return {m["id"]: m for m in json.loads(told.out)}


def _until_worker_has(suite: Suite, revision: int) -> None:
    for _ in range(400):
        if suite.worker.holder.held.revision >= revision:
            return
        time.sleep(0.025)
    raise AssertionError("the worker did not get the policy")


def test_a_pushed_catalogue_reaches_the_workers_and_its_version_is_seen(
    suite: Suite, admin: Turnout, tmp_path: Path
) -> None:
    (tmp_path / "mine.jsonl").write_text(FILE)
    (tmp_path / "policy.yaml").write_text(POLICY)
    assert "no provider that the catalogue knows" in admin("catalogue", "push").err
    assert admin("apply", "-f", "policy.yaml").code == 0
    dry = admin("catalogue", "push", "--file", "mine.jsonl", "--dry-run")
    assert "created Catalogue/openai" in dry.out
    assert admin("get", "Catalogue", "--json").out.strip() == "[]"
    pushed = admin("catalogue", "push", "--file", "mine.jsonl")
    assert pushed.code == 0, pushed.err
    assert "anthropic" not in pushed.out, "only what the policy has"
    assert "unchanged Catalogue/openai" in admin("catalogue", "push", "--file", "mine.jsonl").out
    _until_worker_has(suite, int(pushed.out.split("revision ")[1]))
    found = _models(suite, admin)
    assert set(found) == {"openai/gpt-x", "openai/gpt-y", "best"}
    assert found["openai/gpt-x"]["context_length"] == "9"
    shown = json.loads(admin("nodes", "--json").out)
    (node,) = shown["nodes"]
    assert node["catalogue_version"] == json.loads(admin("catalogue", "show", "--json").out)["version"]
    assert node["applied_version"] == shown["version"]
    assert node["catalogue_version"] in admin("nodes").out


def test_models_are_found_by_what_they_are_and_can(suite: Suite, admin: Turnout, tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_text(FILE)
    (tmp_path / "policy.yaml").write_text(POLICY)
    assert admin("apply", "-f", "policy.yaml").code == 0
    pushed = admin("catalogue", "push", "--file", "mine.jsonl", "--provider", "openai")
    _until_worker_has(suite, int(pushed.out.split("revision ")[1]))
    assert set(_models(suite, admin, "--can", "tools")) == {"openai/gpt-x"}
    assert set(_models(suite, admin, "--kind", "embedding")) == {"openai/gpt-y"}
    assert set(_models(suite, admin, "--max-price", "1")) == {"openai/gpt-y"}
    assert set(_models(suite, admin, "--context", "5")) == {"openai/gpt-x"}
    assert set(_models(suite, admin, "GPT-", "--provider", "openai")) == {"openai/gpt-x", "openai/gpt-y"}
    assert _models(suite, admin, "--provider", "local") == {}
    table = admin("models", "--dataplane", suite.dataplane).out
    assert "openai/gpt-x" in table
    assert "3 models" in table
    assert admin("models", "nobody", "--dataplane", suite.dataplane).out.strip() == "no model"
    wrong = admin("models", "--can", "dance")
    assert (wrong.code, "expected one of tools" in wrong.err) == (2, True)


def test_what_cannot_be_pushed_is_told(suite: Suite, admin: Turnout, tmp_path: Path) -> None:
    del suite
    assert "no provider nobody" in admin("catalogue", "push", "--provider", "nobody").err
    (tmp_path / "bad.jsonl").write_text('{"made":"by hand"}\n{"provider":"openai"}\n{"id":"x","context_length":-1}\n')
    refused = admin("catalogue", "push", "--file", "bad.jsonl", "--provider", "openai")
    assert refused.code == 2
    assert "line 1: x: context_length must not be negative" in refused.err


def test_a_push_of_everything_goes_in_pieces_that_the_store_takes(suite: Suite, admin: Turnout) -> None:
    del suite
    names = [arg for name in ("openrouter", "nano-gpt", "kilo", "vercel", "poe") for arg in ("--provider", name)]
    pushed = admin("catalogue", "push", *names)
    assert pushed.code == 0, pushed.err
    assert pushed.out.count("created Catalogue/") == 5


def test_scores_are_made_from_published_results(turnout: Turnout, tmp_path: Path) -> None:
    (tmp_path / "stats.json").write_text('[{"model": "alpha", "scores": {"GPQA": 0.5}}]')
    (tmp_path / "aider.json").write_text('[{"model": "beta", "pass_rate_2": 40.0}]')
    made = turnout("catalogue", "scores", "--llm-stats", "stats.json", "--aider", "aider.json", "--file", "mine.jsonl")
    assert (made.code, "2 models" in made.out) == (0, True)
    assert '"id":"beta","coding":' in (tmp_path / "mine.jsonl").read_text()
    (tmp_path / "bad.json").write_text('[{"models": []}]')
    for file, code in (("bad.json", 2), ("missing.json", 1)):
        told = turnout("catalogue", "scores", "--llm-stats", file, "--aider", "aider.json", "--file", "mine.jsonl")
        assert (told.code, "Traceback" in told.err) == (code, False)
