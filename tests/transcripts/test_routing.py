"""Transcripts of decisions: what a request is tried at, in which order, and why.

The catalogue is `tests/support/policies.py`'s. Decisions are said in the words of `explain`, after a line
that says what was decided.

Commands
    policy              The policy from now on. Input: documents in YAML; the providers openai, anthropic and mistral
                        are there in any case. Says what the compiler has to say.
    seen MODEL [latency=S,S] [throughput=R,R]
                        What the worker has measured of a model: seconds to first content, tokens per second.
    bench NAME until=T  A target or credential is benched until T.
    learned ROUTER/ROUTE/VARIANT [kinds=V] [MODEL=N*REWARD,N*REWARD]
                        What was learned there: for each model the requests and mean rewards of each kind.
    decide [model=M] [models=A,B] [user=U] [ignore=A,B] [order=P,Q] [fallbacks=no] [needs=tools,vision]
           [provider=JSON] [sort=A,B] [parameters=A,B]
           [kinds=0,1] [seed=1] [at=0] [deadline=SECONDS] [clock.NAME=SECONDS] [KEY=VALUE]
                        A request. `kinds` are those it belongs to, by halves or thirds. Any other KEY is metadata; a VALUE that is JSON is read as such.
                        Input: its messages, `role: content` a line.
    clocks ...          As decide; says the clocks of each candidate instead, a star at those that somebody set,
                        and what else somebody set about them.
    bounds ...          As decide; says the bounds on the request's attempts, and the retry budget that somebody set.
    spread users=N ...  As decide, for N users and then for N seeds without a user: how many got which variant.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from services.core.errors import Clock
from services.core.policy.compile import Problems, compile
from services.core.policy.preferences import Preferences
from services.core.policy.rules import BudgetRule, ClockRule, TtftRule
from services.core.policy.snapshot import Snapshot
from services.core.routing.context import RequestContext
from services.core.routing.decide import decide
from services.core.routing.health import HealthView, Speed
from services.core.routing.learned.clusters import Clusters
from services.core.routing.learned.table import Cell, Table
from services.core.routing.learning import Tabled
from services.core.routing.plan import Plan, Undecided
from services.core.values import changed
from services.wire.preference_facts import PreferenceReader
from tests.support.explain import explain
from tests.support.golden import cases
from tests.support.policies import CONDITIONS, SmallCatalogue, documents_in
from tests.support.transcript import Arguments, Command, run_transcript

SCENARIOS = Path(__file__).parent / "routing"
CLOCKS = frozenset(Clock)
KINDS = "k1"
"""Version of the kinds of requests that there are."""
PROVIDERS = """
- {kind: Provider, name: openai, type: openai}
- {kind: Provider, name: anthropic, type: anthropic}
- {kind: Provider, name: mistral, type: openai_compatible, base_url: "https://api.mistral.example/v1"}
"""


class Scenario:
    """The state behind one transcript."""

    def __init__(self) -> None:
        self.snapshot: Snapshot | None = None
        self.benched: dict[str, float] = {}
        self.speeds: dict[str, Speed] = {}
        self.rates: dict[str, Speed] = {}
        self.tables: dict[tuple[str, str, str], Tabled] = {}
        self.commands: dict[str, Command] = {
            "policy": self.policy,
            "bench": self.bench,
            "seen": self.seen,
            "learned": self.learned,
            "decide": self.decide,
            "clocks": self.clocks,
            "bounds": self.bounds,
            "spread": self.spread,
        }

    def policy(self, arguments: Arguments) -> str:
        documents = {**documents_in(PROVIDERS), **documents_in("\n".join(arguments.input()))}
        found = compile(documents, CONDITIONS, SmallCatalogue())
        if isinstance(found, Problems):
            return "\n".join(f"refused: {problem}" for problem in found.problems)
        self.snapshot = found
        return "\n".join(f"warning: {problem}" for problem in found.warnings)

    def bench(self, arguments: Arguments) -> str:
        self.benched[arguments.word()] = arguments.number("until")
        return ""

    def seen(self, arguments: Arguments) -> str:
        model = arguments.word()
        for name, kept in (("latency", self.speeds), ("throughput", self.rates)):
            values = arguments.listed(name)
            if values:
                kept[model] = Speed(tuple(sorted(map(float, values))))
        return ""

    def learned(self, arguments: Arguments) -> str:
        router, route, variant = arguments.word().split("/")
        version = arguments.text("kinds", KINDS)
        known = {model: [_cell(each) for each in told.split(",")] for model, told in sorted(arguments.rest().items())}
        count = len(next(iter(known.values())))
        table = Table(Clusters(count), cells={(model, ""): cells for model, cells in known.items()})
        decisions = round(sum(cell.rewarded for cells in known.values() for cell in cells))
        self.tables[router, route, variant] = Tabled("t1", version, table, decisions)
        return ""

    def decide(self, arguments: Arguments) -> str:
        found = self.decided(arguments)
        if isinstance(found, Undecided):
            return "\n".join(["undecided", *explain(found)])
        names = {"router": found.router_id, "route": found.route_id, "variant": found.variant_id}
        path = ", ".join(f"{name} {value}" for name, value in names.items() if value)
        errors = [f"failed conditions: {', '.join(found.condition_errors)}"] if found.condition_errors else []
        warnings = [f"warning: {warning}" for warning in found.warnings]
        return "\n".join([path or "no router", *explain(found), *warnings, *errors])

    def clocks(self, arguments: Arguments) -> str:
        lines = []
        for candidate in self.planned(arguments).candidates:
            told = [
                f"{f.name}={_setting_told(getattr(candidate.clocks, f.name))}{'*' if f.name in candidate.named_clocks else ''}"
                for f in fields(ClockRule)
                if f.name in candidate.named_clocks or f.name in CLOCKS
            ]
            lines.append(f"{candidate.target.model}: {' '.join(told)}")
        return "\n".join(lines)

    def bounds(self, arguments: Arguments) -> str:
        retry = self.planned(arguments).retry
        told = {f.name: getattr(retry, f.name) for f in fields(retry) if f.name != "budget"}
        if retry.budget != BudgetRule():
            told |= {f"budget.{f.name}": getattr(retry.budget, f.name) for f in fields(retry.budget)}
        return " ".join(f"{name}={_setting_told(value)}" for name, value in told.items())

    def spread(self, arguments: Arguments) -> str:
        users = int(arguments.number("users"))
        assert self.snapshot is not None
        context, health = _context(arguments), HealthView()
        sticky, drawn = Counter[str](), Counter[str]()
        for number in range(users):
            for counts, one in ((sticky, changed(context, user=f"user-{number}")), (drawn, context)):
                plan = decide(self.snapshot, one, health, 0.0, number)
                assert isinstance(plan, Plan)
                counts[plan.variant_id] += 1
        return f"by user: {_counts_told(sticky)}\nby draw: {_counts_told(drawn)}"

    def planned(self, arguments: Arguments) -> Plan:
        found = self.decided(arguments)
        assert isinstance(found, Plan), found
        return found

    def decided(self, arguments: Arguments) -> Plan | Undecided:
        """The decision for the request that `arguments` describe; the same when it is made twice."""
        assert self.snapshot is not None, "policy comes first"
        now, seed = arguments.number("at", 0.0), int(arguments.number("seed", 1))
        context, health = _context(arguments), HealthView(self.benched, speeds=self.speeds, rates=self.rates)
        found = decide(self.snapshot, context, health, now, seed, self.tables)
        assert found == decide(self.snapshot, context, health, now, seed, self.tables)
        if isinstance(found, Plan):
            replayed = decide(self.snapshot, context, HealthView.replaying(found.measured), now, seed, self.tables)
            assert isinstance(replayed, Plan)
            assert replayed.candidates == found.candidates, "what the record keeps does not make the same plan"
        return found


def _context(arguments: Arguments) -> RequestContext:
    deadline = arguments.optional_number("deadline")
    kinds = arguments.listed("kinds")
    context = RequestContext(
        model=arguments.text("model", ""),
        models=arguments.listed("models"),
        preferences=_preferences(arguments),
        parameters=frozenset(arguments.listed("parameters")),
        messages=tuple(_message(line) for line in arguments.input()),
        user=arguments.text("user", ""),
        needs=frozenset(arguments.listed("needs")),
        clocks={name: float(value) for name, value in arguments.under("clock.").items()},
        deadline=deadline,
        phi={int(kind): 1.0 / len(kinds) for kind in kinds},
        kinds=KINDS if kinds else "",
    )
    return changed(context, metadata={key: _value(text) for key, text in arguments.rest().items()})


def _cell(told: str) -> Cell:
    """What is known of a model for one kind: "100*0.8" are 100 requests of a mean reward of 0.8."""
    count, _, reward = told.partition("*")
    return Cell(rewarded=float(count), reward=float(count) * float(reward))


def _preferences(arguments: Arguments) -> Preferences:
    """The preferences of a request, read as from a caller; those of a policy's own form have words of their own."""
    body = json.loads(arguments.text("provider", "{}"))
    body |= {"order": list(arguments.listed("order"))} if arguments.text("order", "") else {}
    reader = PreferenceReader()
    found = reader.read(body, list(arguments.listed("sort")), arguments.listed("ignore"))
    return changed(found, allow_fallbacks=found.allow_fallbacks and arguments.text("fallbacks", "yes") == "yes")


def _message(line: str) -> dict[str, str]:
    role, content = line.split(": ", 1)
    return {"role": role, "content": content}


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _setting_told(value: Any) -> str:
    if isinstance(value, TtftRule):
        return f"{value.factor:g}*p{value.p * 100:g}"
    return str(value).lower() if isinstance(value, bool) else f"{value:g}"


def _counts_told(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))


@pytest.mark.parametrize("name", cases(SCENARIOS, ".txt"))
def test_the_decision_is_what_its_transcript_says(name: str) -> None:
    run_transcript(SCENARIOS / f"{name}.txt", Scenario().commands)
