"""Commands over the life of policy: history, rollback, drafts, canaries."""

from __future__ import annotations

import json

import pytest

from tests.unit.cli.conftest import Turnout
from tests.unit.cli.suite import Suite
from tests.unit.cli.test_policy_commands import ALIAS, PROVIDER, write


def revision_of(admin: Turnout, place: int) -> str:
    found = json.loads(admin("history", "--json").out)
    return str(found[place]["revision"])


def test_history_says_who_when_why_and_what(admin: Turnout) -> None:
    admin("apply", "-f", write(f"{PROVIDER}---\n{ALIAS}"), "-m", "the beginning")
    admin("apply", "-f", write(ALIAS.replace("gpt-5", "gpt-6")), "-m", "a newer one")
    told = admin("history", "--limit", "2").out
    assert "bootstrap" in told
    assert "a newer one" in told
    assert "Provider/openai," in told
    assert len(json.loads(admin("history", "Alias/best", "--limit", "1", "--json").out)) == 1
    shown = admin("history", "--revision", revision_of(admin, 0)).out
    assert "-model: openai/gpt-5" in shown
    assert "+model: openai/gpt-6" in shown


def test_a_rollback_brings_back_what_was(admin: Turnout) -> None:
    admin("apply", "-f", write(f"{PROVIDER}---\n{ALIAS}"))
    good = revision_of(admin, 0)
    admin("apply", "-f", write(ALIAS.replace("gpt-5", "gpt-6")))
    dry = admin("rollback", good, "--dry-run")
    assert "~ updated   Alias/best" in dry.out
    assert "gpt-6" in admin("get", "alias", "best").out
    assert admin("rollback", good, "-m", "it was better").code == 0
    assert "gpt-5" in admin("get", "alias", "best").out
    assert "it was better" in admin("history", "--limit", "1").out
    lost = admin("rollback", "999999999")
    assert (lost.code, "history keeps no write" in lost.err) == (1, True)


def test_a_draft_is_shown_simulated_and_published(admin: Turnout) -> None:
    admin("apply", "-f", write(PROVIDER))
    saved = admin("draft", "save", "next", "-f", write(ALIAS), "-m", "try this")
    assert "+model: openai/gpt-5" in saved.out
    assert admin("get", "alias").out == "no documents\n"
    assert "next" in admin("draft", "list").out
    assert "openai/gpt-5" in admin("simulate", "best", "--draft", "next").out
    assert admin("simulate", "best").code == 1
    assert admin("draft", "publish", "next").code == 0
    assert "gpt-5" in admin("get", "alias", "best").out
    assert admin("draft", "list").out.startswith("no drafts")


def test_a_draft_is_simulated_with_what_it_deletes(admin: Turnout) -> None:
    admin("apply", "-f", write(PROVIDER + "---\n" + ALIAS))
    admin("draft", "save", "less", "--delete", "Alias/best")
    assert admin("simulate", "best").code == 0
    assert admin("simulate", "best", "--draft", "less").code == 1


def test_a_draft_that_is_wrong_is_kept_and_told(admin: Turnout) -> None:
    admin("apply", "-f", write(PROVIDER))
    saved = admin("draft", "save", "bad", "-f", write(ALIAS.replace("openai/", "nobody/")))
    assert "nothing in this policy serves" in saved.err
    assert admin("draft", "show", "bad").code == 2
    assert admin("draft", "publish", "bad").code != 0
    assert admin("draft", "delete", "bad").code == 0


def test_a_canary_runs_at_the_worker_and_nodes_show_it(admin: Turnout, suite: Suite) -> None:
    admin("apply", "-f", write(PROVIDER))
    admin("draft", "save", "next", "-f", write(ALIAS))
    started = admin("canary", "start", "next", "--percent", "50")
    assert "in force at worker-1" in started.out
    suite.await_applied(json.loads(admin("canary", "show", "--json").out)["version"])
    assert "canary" in admin("nodes").out
    snapshot = suite.worker.holder.current()
    assert snapshot is not None
    assert snapshot.aliases == {"best": "openai/gpt-5"}
    assert "is over" in admin("canary", "stop").out
    assert "no canary" in admin("canary", "stop").out
    assert admin("canary", "show").code == 1
    admin("draft", "delete", "next")


@pytest.mark.parametrize(
    "arguments",
    [
        ("canary", "start", "d"),
        ("canary", "start", "d", "--percent", "5", "--node", "n"),
        ("rollback", "1", "Alias"),
        ("history", "best"),
        ("draft", "save", "d"),
    ],
)
def test_what_is_not_understood_is_the_callers_fault(admin: Turnout, arguments: tuple[str, ...]) -> None:
    assert admin(*arguments).code == 2
