"""A worker that is taught: each kind of request goes to the model that is good at it, through every API."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from services.core.routing.learned.clusters import weights
from services.core.routing.learned.features import features
from services.dataplane.learned_tables import TablesFile
from tests.support.asking import address, question
from tests.support.inprocess import TOPOLOGIES, Running, eventually, records, running_suite
from tests.support.teacher import KINDS, SUM, VERSE, Teacher, table, teaching
from tests.support.upstream import Seen, Step, openai_answer, running_upstream, whole

EXPLAIN = {"x-turnout-explain": "true"}
APIS = ("chat.completions", "messages", "openrouter.chat.completions", "responses", "generateContent")


def kind_of(text: str) -> int:
    phi = weights(KINDS.clusters, features(text))
    return max(phi, key=phi.__getitem__)


def good_at(text: str, other: float = 0.2) -> list[float]:
    """Rewards by kind of a model that is good at requests such as `text`."""
    return [0.9 if kind == kind_of(text) else other for kind in range(2)]


TABLE = table({"p/sums": good_at(SUM), "p/verses": good_at(VERSE)})


def documents(url: str, learned: dict[str, Any]) -> list[dict[str, Any]]:
    variant = {"variant_id": "v", "model_id": "p/first"}
    variant |= {"model_selection": {"models": ["p/sums", "p/verses"], "learned": learned}}
    fixed = {"variant_id": "v", "model_id": "p/first", "model_selection": {"models": ["p/sums"]}}
    return [
        {"kind": "Provider", "name": "p", "type": "openai_compatible", "base_url": f"{url}/v1"},
        *(
            {
                "kind": "Router",
                "name": name,
                "default_route": {"route_id": "d", "variants": [{"weight": 100, "variant": each}]},
            }
            for name, each in (("r", variant), ("fixed", fixed))
        ),
    ]


def answer(seen: Seen) -> Sequence[Step]:
    del seen
    return [whole(200, openai_answer("So."))]


@asynccontextmanager
async def taught(
    folder: Path, topology: str = "fused", learned: dict[str, Any] | None = None
) -> AsyncIterator[tuple[Running, Teacher]]:
    async with teaching() as teacher, running_upstream(answer) as upstream:
        forms = documents(upstream.url, learned or {})
        async with running_suite(folder, topology, *forms, controlplane=teacher.address) as suite:
            suite.worker.tables.kinds = KINDS
            yield suite, teacher


async def ask(suite: Running, text: str, router: str = "r", **more: Any) -> dict[str, Any]:
    body = question("chat.completions", f"inworld/{router}", text, **more)
    answered = await suite.http.post("/v1/chat/completions", json=body, headers=EXPLAIN)
    assert answered.status_code == 200, answered.text
    found: dict[str, Any] = answered.json()["metadata"]
    return found


def test_the_kinds_of_the_test_are_two() -> None:
    assert kind_of(SUM) != kind_of(VERSE)


@pytest.mark.parametrize("topology", TOPOLOGIES)
async def test_each_kind_goes_to_the_model_that_is_good_at_it(tmp_path: Path, topology: str) -> None:
    async with taught(tmp_path, topology) as (suite, teacher):
        before = await ask(suite, SUM)
        assert before["attempts"][-1]["model"] == "p/first", "no table yet, equal priors: as policy has them"
        assert before["decision"]["learned"]["table"] == ""
        teacher.say(TABLE)
        await eventually(lambda: len(suite.worker.tables.current) == 1)
        for text, model in ((SUM, "p/sums"), (VERSE, "p/verses")):
            metadata = await ask(suite, text, user="ann")
            assert metadata["attempts"][-1]["model"] == model
            learned = metadata["decision"]["learned"]
            assert (learned["table"], learned["kinds_version"]) == (TABLE.version, KINDS.version)
            assert learned["kinds"][0]["kind"] == kind_of(text)
            assert [one["propensity"] for one in learned["models"]] == [1.0, 0.0, 0.0]
            assert learned["models"][0]["model"] == model
            assert set(learned["models"][0]["terms"]) == {"reward", "cost", "seconds"}
            record = suite.worker.records.get(metadata["generation_id"])
            assert (record.learned.chosen, record.learned.table) == (model, TABLE.version)
        fixed = await ask(suite, SUM, router="fixed")
        assert "learned" not in fixed["decision"]
        await eventually(lambda: len(teacher.outcomes) == 3)
    chosen = [(o.learned.chosen, o.served_model, o.learned.table) for o in teacher.outcomes]
    assert chosen == [
        ("p/first", "p/first", ""),
        ("p/sums", "p/sums", TABLE.version),
        ("p/verses", "p/verses", TABLE.version),
    ]
    assert not any("poem" in str(outcome) or "Solve" in str(outcome) for outcome in teacher.outcomes)


@pytest.mark.parametrize("api", APIS)
async def test_the_last_message_of_every_api_says_what_kind_it_is(tmp_path: Path, api: str) -> None:
    async with taught(tmp_path) as (suite, teacher):
        teacher.say(TABLE)
        await eventually(lambda: len(suite.worker.tables.current) == 1)
        for text, model in ((SUM, "p/sums"), (VERSE, "p/verses")):
            answered = await suite.http.post(address(api, "inworld/r"), json=question(api, "inworld/r", text))
            assert answered.status_code == 200, answered.text
            record = records(suite)[-1]
            assert (record.api, record.learned.kind[0], record.model) == (api, kind_of(text), model)


async def test_an_earlier_message_and_the_systems_do_not_count(tmp_path: Path) -> None:
    async with taught(tmp_path) as (suite, teacher):
        teacher.say(TABLE)
        await eventually(lambda: len(suite.worker.tables.current) == 1)
        turns = [
            ("system", VERSE),
            ("user", VERSE),
            ("assistant", VERSE),
            ("user", SUM),
            ("assistant", ""),
            ("user", ""),
        ]
        messages = [{"role": role, "content": text} for role, text in turns]
        assert (await ask(suite, "", messages=messages))["attempts"][-1]["model"] == "p/sums"


async def test_a_request_without_a_text_is_served_and_nothing_is_learned_of_it(tmp_path: Path) -> None:
    async with taught(tmp_path, learned={"explore": 0.2}) as (suite, teacher):
        teacher.say(TABLE)
        await eventually(lambda: len(suite.worker.tables.current) == 1)
        metadata = await ask(suite, "", messages=[{"role": "system", "content": SUM}])
        assert metadata["attempts"][-1]["model"] == "p/first"
        assert "learned" not in metadata["decision"]


async def test_a_worker_goes_on_with_its_tables_and_begins_with_them(tmp_path: Path) -> None:
    async with taught(tmp_path) as (suite, teacher):
        teacher.say(TABLE)
        await eventually(lambda: len(suite.worker.tables.current) == 1)
        streams = teacher.streams
        teacher.hang_up()
        await eventually(lambda: teacher.streams > streams)
        assert (await ask(suite, SUM))["attempts"][-1]["model"] == "p/sums"
        teacher.say(full=True)
        await eventually(lambda: not suite.worker.tables.current)
        assert (await ask(suite, SUM))["attempts"][-1]["model"] == "p/first"
        teacher.say(TABLE, full=True)
        await eventually(lambda: len(suite.worker.tables.current) == 1)
        file = TablesFile(tmp_path / "worker" / "learned.tables")
        await eventually(lambda: any(list(m.tables) == [TABLE] for m in list(file.load())[:1]))
    async with (
        running_upstream(answer) as upstream,
        running_suite(tmp_path, "fused", *documents(upstream.url, {})) as suite,
    ):
        ((name, held),) = suite.worker.tables.current.items()
        assert (name, held.version) == (("r", "d", "v"), TABLE.version), "the control plane is away"
        assert held.table is None, "of kinds that this release does not have"


async def test_a_table_of_other_kinds_is_told_and_not_used(tmp_path: Path) -> None:
    async with taught(tmp_path) as (suite, teacher):
        suite.worker.tables.kinds = KINDS
        teacher.say(table({"p/sums": [0.9, 0.9]}, type(KINDS)("other-kinds", KINDS.clusters)))
        await eventually(lambda: len(suite.worker.tables.current) == 1)
        metadata = await ask(suite, SUM)
        assert (metadata["attempts"][-1]["model"], metadata["decision"]["learned"]["table"]) == ("p/first", "")
