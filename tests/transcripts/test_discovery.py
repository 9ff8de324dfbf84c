"""Transcripts of the policy push: a store, the control plane's end of each stream, and the workers' ends.

Nothing moves by itself: each message is sent and received by a command of its own, so that every
order of events can be written down. Documents are aliases, `name=model`.

Commands
    store ID [revision=1]           Another store, or a restored one: its documents are the input, `name=model` a line.
    write name=model ... [gone=-]   One write to the store: a new revision. `-` deletes.
    connect WORKER [at=REVISION]    A worker opens a stream. `at`: the replica that it reaches lags, and has not seen more.
    lag WORKER [at=REVISION]        From now on that replica has seen no more than this; without `at`, all there is.
    push WORKER                     The control plane sends what is due.
    take WORKER                     The worker takes the oldest push that is under way, and answers.
    hear WORKER                     The control plane takes the oldest answer that is under way.
    settle WORKER                   push, take and hear, until there is nothing more to say.
    answer WORKER nonce=N           An answer to push N arrives that no command here has caused.
    refuse WORKER [NAME]            The worker's release does not know the document NAME from now on; none: knows all.
    spoil WORKER [NAME]             The worker loses NAME of what it holds; none: the push under way loses a document.
    forget WORKER                   The worker restarts without its disk.
    holds WORKER                    What the worker has in force, and what the control plane believes about it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from services.core.discovery import publisher_session as publisher
from services.core.discovery.messages import Acknowledgement, Entry, PolicySet, Push, Resync, documents_of
from services.core.discovery.publisher_session import PublisherSession
from services.core.discovery.subscriber_session import Accept, acknowledge, on_push, subscription_of
from services.core.errors import Problem
from services.core.policy.documents import Alias, ResourceKey, key_of
from services.core.policy.version import content_version
from tests.support.golden import cases
from tests.support.transcript import Arguments, Command, run_transcript
from tests.transcripts.discovery_words import answer_told, belief_told, push_told, set_told

SCENARIOS = Path(__file__).parent / "discovery"


@dataclass(slots=True)
class Worker:
    """A worker, its stream, and the replica at the other end of it."""

    held: PolicySet = field(default_factory=PolicySet)
    refused: str = ""
    session: PublisherSession | None = None
    lag: float | None = None
    pushes: deque[Push] = field(default_factory=deque)
    answers: deque[Acknowledgement | Resync] = field(default_factory=deque)

    @property
    def stream(self) -> PublisherSession:
        assert self.session is not None, "connect comes first"
        return self.session


class Scenario:
    """The state behind one transcript."""

    def __init__(self) -> None:
        self.current = PolicySet()
        self.history = [PolicySet()]
        self.workers: dict[str, Worker] = {}
        self.commands: dict[str, Command] = {
            "store": self.store,
            "write": self.write,
            "connect": self.connect,
            "lag": self.lag,
            "push": lambda a: self.push(self.worker(a)),
            "take": lambda a: self.take(self.worker(a)),
            "hear": lambda a: self.hear(self.worker(a)),
            "settle": self.settle,
            "answer": self.answer,
            "refuse": self.refuse,
            "spoil": self.spoil,
            "forget": self.forget,
            "holds": self.holds,
        }

    def worker(self, arguments: Arguments) -> Worker:
        return self.workers.setdefault(arguments.word(), Worker())

    def store(self, arguments: Arguments) -> str:
        self.history = []
        revision = int(arguments.number("revision", 1))
        written = dict(line.split("=", 1) for line in arguments.input())
        return self.put(PolicySet({}, revision, "", arguments.word()), written)

    def write(self, arguments: Arguments) -> str:
        return self.put(replace(self.current, revision=self.current.revision + 1), arguments.rest())

    def put(self, before: PolicySet, written: dict[str, str]) -> str:
        entries = dict(before.entries)
        for name, model in written.items():
            document = Alias(name, model)
            entries[key_of(document)] = Entry(document, before.revision)
            if model == "-":
                del entries[key_of(document)]
        made = PolicySet(entries, before.revision, "", before.store_id)
        self.current = replace(made, version=content_version(documents_of(made).values()))
        self.history.append(self.current)
        return set_told(self.current)

    def connect(self, arguments: Arguments) -> str:
        name = arguments.word()
        worker = self.workers.setdefault(name, Worker())
        worker.pushes, worker.answers = deque(), deque()
        worker.lag = arguments.optional_number("at")
        subscription = subscription_of(worker.held, name, "127.0.0.1:1", "1.0")
        worker.session = publisher.open_session(subscription, self.seen(worker))
        held = ", ".join(f"{key}@{revision}" for key, revision in subscription.held.items())
        return f"{name} says that it holds {held or 'nothing'}"

    def lag(self, arguments: Arguments) -> str:
        worker = self.worker(arguments)
        worker.lag = arguments.optional_number("at")
        return f"the replica has {set_told(self.seen(worker))}"

    def seen(self, worker: Worker) -> PolicySet:
        """What the replica at the other end of the worker's stream has seen."""
        bound = self.current.revision if worker.lag is None else worker.lag
        return [seen for seen in self.history if seen.revision <= bound][-1]

    def push(self, worker: Worker) -> str:
        worker.session, push = publisher.next_push(worker.stream, self.seen(worker))
        if push is None:
            return "nothing to say"
        worker.pushes.append(push)
        return push_told(push)

    def take(self, worker: Worker) -> str:
        """As the worker's policy client does it; "compiling" is knowing every document."""
        push = worker.pushes.popleft()
        verdict: Accept | Acknowledgement | Resync = on_push(worker.held, push)
        if isinstance(verdict, Accept):
            key = ResourceKey("Alias", worker.refused)
            if key in verdict.proposed.entries:
                problem = Problem("Alias", worker.refused, "model", "this release does not know it")
                verdict = acknowledge(push, worker.held, (problem,))
            else:
                worker.held = verdict.proposed
                verdict = acknowledge(push, worker.held)
        worker.answers.append(verdict)
        return answer_told(verdict)

    def hear(self, worker: Worker) -> str:
        answer = worker.answers.popleft()
        before = worker.stream
        worker.session = (
            publisher.on_resync(before, answer)
            if isinstance(answer, Resync)
            else publisher.on_acknowledgement(before, answer)
        )
        return "ignored" if worker.session == before else belief_told(worker.stream)

    def settle(self, arguments: Arguments) -> str:
        worker = self.worker(arguments)
        lines = [self.push(worker)]
        while worker.pushes:
            lines += [self.take(worker), self.hear(worker), self.push(worker)]
        return "\n".join(lines[:-1] or lines)

    def answer(self, arguments: Arguments) -> str:
        worker = self.worker(arguments)
        worker.answers.appendleft(Acknowledgement(arguments.text("nonce"), "0" * 32, 0))
        return self.hear(worker)

    def refuse(self, arguments: Arguments) -> str:
        worker = self.worker(arguments)
        worker.refused = arguments.word("")
        return ""

    def spoil(self, arguments: Arguments) -> str:
        worker, name = self.worker(arguments), arguments.word("")
        if name:
            entries = {key: entry for key, entry in worker.held.entries.items() if key.name != name}
            worker.held = replace(worker.held, entries=entries)
        else:
            upserts = dict(worker.pushes[0].upserts)
            del upserts[max(upserts)]
            worker.pushes[0] = replace(worker.pushes[0], upserts=upserts)
        return ""

    def forget(self, arguments: Arguments) -> str:
        self.worker(arguments).held = PolicySet()
        return ""

    def holds(self, arguments: Arguments) -> str:
        worker = self.worker(arguments)
        return f"in force {set_told(worker.held)}\n{belief_told(worker.stream)}"


@pytest.mark.parametrize("name", cases(SCENARIOS, ".txt"))
def test_the_two_ends_say_what_their_transcript_says(name: str) -> None:
    run_transcript(SCENARIOS / f"{name}.txt", Scenario().commands)
