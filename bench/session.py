"""One run from its first process to its last."""

from __future__ import annotations

import asyncio
import os
import platform
import resource
import signal
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from bench.codecs import measured
from bench.generator import start_generator
from bench.paired import paired
from bench.processes import BenchFailed, Processes, resident_mib
from bench.results import Machine, Memory, Run
from bench.rounds import Lab
from bench.scenarios import LONG, SCENARIOS
from bench.suite import spans_counted, start_suite
from services.cli.standalone.children import ChildFailed

IN_PROCESS = ("engine", "codecs")
"""What is measured without a suite, by name."""
ROUNDS, REQUESTS = 60, 300
QUICK_ROUNDS, QUICK_REQUESTS = 5, 100


@dataclass(frozen=True, slots=True)
class Options:
    """What is asked for.

    Attributes:
        only: Scenarios to run; empty: all.
        seconds: Length of each measure on each way.
        sampling: Share of traces that are exported.
        against: Another working tree, to be measured in turns with this one by the scenario engine.
    """

    only: Sequence[str] = ()
    seconds: float = 8.0
    rounds: int = 4
    sampling: float = 0.1
    against: Path | None = None

    @property
    def names(self) -> list[str]:
        """Of the scenarios that put load on the suite."""
        return [name for name in SCENARIOS if not self.only or name in self.only]


def quick(options: Options) -> Options:
    """`options` cut short, for a smoke test; its numbers are rough."""
    only = options.only or [name for name in SCENARIOS if name not in LONG]
    return replace(options, only=only, seconds=min(options.seconds, 0.5), rounds=2)


def bare_run(options: Options) -> Run:
    """A run that has found nothing yet."""
    return Run(datetime.now(UTC).date().isoformat(), machine(), options.seconds, options.rounds, options.sampling)


async def in_process(options: Options, run: Run, say: Callable[[str], None]) -> None:
    """Measure what needs no suite, if it is asked for.

    Raises:
        BenchFailed: Something did not work.
    """
    names = [name for name in IN_PROCESS if not options.only or name in options.only]
    rounds, count = (ROUNDS, REQUESTS) if options.seconds >= 1.0 else (QUICK_ROUNDS, QUICK_REQUESTS)
    if "engine" in names:
        run.in_process = await paired(rounds, count, options.against, say)
    if "codecs" in names:
        run.codecs = await asyncio.to_thread(measured, rounds, count, say)


async def session(options: Options, say: Callable[[str], None]) -> Run:
    """Start everything, measure, stop everything.

    Raises:
        BenchFailed: Something did not work, so there are no numbers; the message ends with the logs.
    """
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, _cancel_me())
    began, busy, ours = time.monotonic(), _busy_seconds(), _our_seconds()
    run = bare_run(options)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="turnout-bench-")))
        processes = Processes(folder)
        stack.push_async_callback(processes.stop)
        try:
            say("starting etcd, the control plane, both topologies, the upstream and the collector")
            suite = await start_suite(processes, options.sampling)
            generator = await start_generator(processes.log_of("generator"))
            stack.push_async_callback(generator.stop)
            await _measure(Lab(suite, generator, options.seconds, options.rounds, say), options.names, run)
        except (BenchFailed, ChildFailed) as error:
            raise BenchFailed(f"{error}\n{processes.log_tails()}") from error
    run.took_seconds = time.monotonic() - began
    others = _busy_seconds() - busy - (_our_seconds() - ours)
    run.machine.others = max(0.0, others / (run.took_seconds * run.machine.cores))
    return run


def _cancel_me() -> Callable[[], object]:
    """Cancels the present task, so that a run which is told to end stops its processes first."""
    task = asyncio.current_task()
    assert task is not None, "called from a coroutine"
    return task.cancel


async def _measure(lab: Lab, names: Sequence[str], run: Run) -> None:
    """Run the scenarios, and note what memory and spans became of them."""
    ways = lab.suite.ways
    parts = {f"{way.name} {part}".removeprefix("fused "): pid for way in ways for part, pid in way.parts.items()}
    start = {part: resident_mib(pid) for part, pid in parts.items()}
    for name in names:
        await SCENARIOS[name](lab, run)
    run.memory = [Memory(part, start[part], resident_mib(pid)) for part, pid in parts.items()]
    run.spans = await spans_counted(ways)


def machine() -> Machine:
    """This machine."""
    return Machine(
        cores=len(os.sched_getaffinity(0)),
        cpu=_cpu_model(),
        python=platform.python_version(),
        system=f"{platform.system()} {platform.release()}",
    )


def _busy_seconds() -> float:
    """CPU time of all programs of this machine, and time that its host took away, since it started."""
    line = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()
    user, nice, system, _idle, _iowait, _irq, _softirq, stolen = (int(field) for field in line[1:9])
    return (user + nice + system + stolen) / os.sysconf("SC_CLK_TCK")


def _our_seconds() -> float:
    """CPU time of this process and of all its children that have ended."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(used.ru_utime + used.ru_stime for used in map(resource.getrusage, kinds))


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
