"""Transcripts of attempt chains and of what they leave in the books of health, one event at a time.

Times are seconds on one clock that starts at 0; without `at=` no time passes. An event is about the newest
request, unless `of=NAME` says otherwise, and about its newest attempt in flight, unless `attempt=N` does.

What is set up
    plan [retries=1] [attempts=5] [wait=3] [deadline=600] [seed=1] [recovery=WORD]
         [hedge=p95|300ms] [hedges=1] [budget=1] [floor=10] [exhausted=WORD] [queue=5] [places=100]
         [open=10] [longest=10] [ramp=10]
        The plan of the requests that follow: bounds; hedging, its budget, the retry budget and its floor per
        second; `on_exhausted`; the breakers of its providers. Input: a target a line, best first:
        `provider/model [window=TOKENS] [keys=A,B] [endpoints=eu,us] [prefill=yes] [total=SECONDS] [ttft=FACTOR]`.
    worker              A fresh worker: nothing is known of any target.
    seen MODEL seconds=S [times=1]      Times to first content of late.
    waiting N           N other requests wait in this worker's queue.

What happens
    request [NAME] [seed=N] [at=T]      A request arrives. Says in which order its choices stand, and what begins.
    content | done      An attempt's first content; its answer is complete.
    fail KIND [after=SECONDS] [status=N] [code=WORD] [clock=NAME] [remains=text|restart|both]
                        An attempt fails; `after` is the provider's Retry-After, `remains` how an answer that
                        the caller has seen can be mended.
    hedge | elapsed | deadline          The hedge is due; the wait is over; the deadline passes. Time passes to that.
    cancel              The caller goes away.
    stray EVENT         An event that comes too late, or that no shell should report.
    others N|PATTERN [fail=KIND] [every=SECONDS]
                        Other requests of the worker, each with a seed of its own: the first attempt of each o is
                        answered, that of each x fails. Says what became of attempts, by target.

What is looked at
    accounts            Health that outlives requests, and that the next request starts from.
    shown               Which of several failures callers see. Input: as `fail`, one a line.

An attempt that the books of health do not let through is told as `refused`, with what follows.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.golden import cases
from tests.support.transcript import BadTranscript, run_transcript
from tests.transcripts.attempt_scenario import Scenario

SCENARIOS = Path(__file__).parent / "attempts"


@pytest.mark.parametrize("name", cases(SCENARIOS, ".txt"))
def test_the_chain_does_what_its_transcript_says(name: str) -> None:
    run_transcript(SCENARIOS / f"{name}.txt", Scenario().commands)


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("done attempt=2", "attempt 2 is not in flight"),
        ("fail SERVER_ERROR at=600.1", "attempt 1 had ended by 600"),
        ("fail SERVER_ERROR remains=text", "does not know 'remains'"),
        ("hedge", "no hedge is due"),
        ("elapsed", "nothing is waited for"),
        ("deadline at=599", "it is due at 600"),
        ("request", "the request before has not ended"),
    ],
)
def test_a_scenario_cannot_tell_what_cannot_happen(tmp_path: Path, command: str, why: str) -> None:
    path = tmp_path / "t.txt"
    path.write_text(f"# x\n\nplan\na/m\n----\n\nrequest\n----\n\n{command}\n----\n", encoding="utf-8")
    with pytest.raises(BadTranscript, match=why):
        run_transcript(path, Scenario().commands)
