"""`python -m bench`: measure, print the report, and keep it where asked."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from bench.bars import judged
from bench.processes import BenchFailed
from bench.report import markdown, write_readme
from bench.results import Run
from bench.scenarios import SCENARIOS
from bench.session import IN_PROCESS, Options, bare_run, in_process, quick, session


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; 1 when something did not work. A missed bar is a finding, not an error."""
    found = _parser().parse_args(arguments)
    options = Options(found.only or (), found.seconds, sampling=found.sampling, against=found.against)
    try:
        run = asyncio.run(_measured(quick(options) if found.quick else options))
    except BenchFailed as error:
        _say(f"failed: {error}")
        return 1
    except (asyncio.CancelledError, KeyboardInterrupt):
        _say("ended before it was done")
        return 130
    print(markdown(run))
    if found.json:
        Path(found.json).write_bytes(msgspec.json.format(msgspec.json.encode(run), indent=2) + b"\n")
    if found.write:
        write_readme(run)
    return 0


async def _measured(options: Options) -> Run:
    """The load scenarios that are asked for, and what is measured in one process."""
    run = await session(options, _say) if options.names else bare_run(options)
    await in_process(options, run, _say)
    run.bars = judged(run)
    return run


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measure what the router costs.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--only", action="append", choices=(*SCENARIOS, *IN_PROCESS), help="this scenario; may be repeated"
    )
    usual = Options()
    parser.add_argument("--seconds", type=float, default=usual.seconds, help="length of each measure on each way")
    parser.add_argument("--sampling", type=float, default=usual.sampling, help="share of traces exported")
    parser.add_argument("--against", type=Path, metavar="DIR", help="with engine: another working tree, in turns")
    parser.add_argument("--quick", action="store_true", help="all in about 40 s; the numbers are rough")
    parser.add_argument("--json", metavar="FILE", help="write everything as JSON, too")
    parser.add_argument("--write", action="store_true", help="rewrite the report in bench/README.md")
    return parser


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
