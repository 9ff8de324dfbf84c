"""`turnout learn list` and `turnout learn show`."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from turnout.experiment.v1.experiment_service_pb2 import ReportOutcomesRequest, ReportOutcomesResponse
from turnout.experiment.v1.experiment_service_pb2_grpc import ExperimentServiceStub

from services.cli.connection import Connection
from services.cli.policy_commands import call
from services.controlplane.learning.variants import VariantName
from tests.unit.cli.conftest import Turnout
from tests.unit.cli.suite import Suite
from tests.unit.cli.test_policy_commands import PROVIDER, write
from tests.unit.controlplane.learning.made import decided, recent

MODELS = ("openai/gpt-5", "openai/gpt-5-mini")
ROUTER = """kind: Router
name: support
default_route:
  route_id: main
  variants:
  - weight: 100
    variant:
      variant_id: only
      model_id: openai/gpt-5
      model_selection: {models: [openai/gpt-5-mini], learned: {explore: 0.2}}
"""


@pytest.fixture
def learning(admin: Turnout, suite: Suite) -> Turnout:
    applied = admin("apply", "--json", "-f", write(f"{PROVIDER}---\n{ROUTER}"))
    suite.await_shown(int(json.loads(applied.out)["revision"]))
    return admin


def report(connection: Connection, count: int) -> None:
    """Outcomes of both models, drawn: the first one's answers are whole, four of five of the other's are not."""
    chance, outcomes = random.Random(1), []
    for number in range(count):
        chosen = chance.choice(MODELS)
        learned = decided(chosen, models=MODELS, propensities=[0.5, 0.5])
        ended = "broken" if chosen == MODELS[1] and chance.random() < 0.8 else "ok"
        found = recent(number, chosen=chosen, learned=learned, outcome=ended)
        found.router_id, found.route_id, found.variant_id = "support", "main", "only"
        outcomes.append(found)
    answered: ReportOutcomesResponse = call(
        connection, "ReportOutcomes", ReportOutcomesRequest(node_id="w", outcomes=outcomes), ExperimentServiceStub
    )
    assert answered.refused == 0


def listed(turnout: Turnout) -> dict[str, Any]:
    """The one row of the list."""
    (found,) = json.loads(turnout("learn", "list", "--json").out)
    return dict(found)


def test_a_variant_that_nobody_asked_is_listed_and_shown_without_a_verdict(learning: Turnout) -> None:
    row = listed(learning)
    assert "decisions" not in row
    assert (row["router_id"], row["route_id"], row["variant_id"]) == ("support", "main", "only")
    assert "support/main/only" in learning("learn", "list").out
    shown = learning("learn", "show", "support/main")
    assert shown.code == 0
    assert "No verdict: nothing was decided yet." in shown.out


def test_what_was_learned_is_shown_with_what_to_believe(learning: Turnout, suite: Suite) -> None:
    report(Connection(suite.controlplane), 3_000)
    suite.await_learned(VariantName("support", "main", "only"), 3_000)
    row = listed(learning)
    assert (row["decisions"], row["rewarded"]) == ("3000", "3000")
    shown = learning("learn", "show", "support/main/only")
    assert "how answers ended" in shown.out
    assert "openai/gpt-5-mini alone" in shown.out
    assert "No feedback is configured" in shown.out
    assert "No difference can be told between choosing by kind of request and one model alone" in shown.out
    found = json.loads(learning("learn", "show", "support/main", "--json").out)
    first, second = found["models"]
    assert (first["model"], second["model"]) == MODELS
    assert int(first["chosen"]) + int(second["chosen"]) == 3_000
    assert 0.4 < first["share"] < 0.6
    assert first["share"] + second["share"] == pytest.approx(1.0)
    assert (first["reward"] > 0.9, second["reward"] < 0.3) == (True, True)
    assert first["cost_usd"] == pytest.approx(0.01)
    assert first["seconds"] == pytest.approx(0.25)
    assert found["logged_reward"] == pytest.approx(0.6, abs=0.05)
    worth = {way["candidate"]: way for way in [found["greedy"], *found["singles"]]}
    assert worth["greedy"]["reward"] == pytest.approx(1.0, abs=0.03)
    assert worth["openai/gpt-5-mini"]["low"] < 0.2 < worth["openai/gpt-5-mini"]["high"]


@pytest.mark.parametrize("place", ["support", "support/main/only/more", "support//only", "/main"])
def test_what_is_no_variant_is_told(learning: Turnout, place: str) -> None:
    ran = learning("learn", "show", place)
    assert ran.code == 2
    assert "expected ROUTER/ROUTE" in ran.err


def test_a_variant_that_does_not_learn_is_an_error(learning: Turnout) -> None:
    ran = learning("learn", "show", "support/other")
    assert ran.code == 1
    assert "nothing learns at support/other" in ran.err


def test_a_policy_without_learning_has_an_empty_list(admin: Turnout) -> None:
    assert "no variant of this policy has model_selection.learned" in admin("learn", "list").out
