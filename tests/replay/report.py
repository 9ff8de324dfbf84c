"""What recorded traffic gives: `python -m tests.replay.report` writes docs/replay.md."""

from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path

from tests.replay.errors import judge
from tests.replay.exceptions import UNEQUAL
from tests.replay.measure import Measure, measure
from tests.replay.traffic import FAILING, FAMILIES, PROVIDERS, ROOT, Exchange, exchanges, failures, folder

PAGE = ROOT / "docs" / "replay.md"

HEAD = """\
# Replay of recorded traffic

Answers that real providers gave to other projects' tests, replayed through the router's translations. The official SDKs
of OpenAI and Anthropic read both the recording and what the router makes of it. In the same dialect nothing that the SDK
shows may differ but the model's name, the cost and the metadata that the router adds. Across dialects text, tool calls,
finish reason, reasoning and every class of tokens must say the same. No caller speaks Cohere's protocol (v2 of its chat
API; v1 is another one), Bedrock's Converse (which botocore reads here) or Gemini's: their two columns are both
crossings, to OpenAI's dialect and to Anthropic's.

Made by `python -m tests.replay.report`; `tests/replay` checks that it is current wherever the recordings are.

## Successes

Shares of the answers; what is no answer (an error inside a success, a cut stream, several answers in one file) is listed
below, as is every answer that does not read the same.

| provider | exchanges | no answer | same dialect | crossing |
|---|---:|---:|---:|---:|
"""

EXCEPTIONS = """
## Exchanges that do not read the same

Each was looked at. Where the router reports a failure, the caller's SDK raises an error; before the first content the
request goes on to the next target.

| exchange | where | the router | why |
|---|---|---|---|
"""

ERRORS = """
## Errors

Recorded errors of the two protocols, and of APIs whose errors have the same shape: the kind that the codec finds, and
the class that the caller's SDK raises when this error ends the chain. It is the class that the recording itself raises,
but for a rejected key and an exhausted account, which are the router's own trouble and never the caller's, and for a
model that is missing, which is 404 whatever the provider answers. What follows from a kind is in [errors.md](errors.md).

| provider | api | status | code | kind | the SDK raises | errors |
|---|---|---:|---|---|---|---:|
"""


@cache
def measured(provider: str) -> Measure:
    """The measure of a provider; made once."""
    return measure(exchanges(provider))


def render() -> str:
    """The page."""
    return HEAD + "".join([*_successes(), EXCEPTIONS, *_exceptions(), ERRORS, *_errors()])


def _successes() -> list[str]:
    counts = {provider: _counts(measured(provider)) for provider in PROVIDERS}
    counts["all"] = tuple(map(sum, zip(*counts.values(), strict=True)))
    return [_row(name, *found) for name, found in counts.items()]


def _counts(found: Measure) -> tuple[int, ...]:
    """Exchanges, those that are no answer, answers that differ in the same dialect, and across."""
    none = {name for name, entry in UNEQUAL.items() if not entry.answer}
    return (
        found.total,
        len(none & found.crossing.keys()),
        len(found.same.keys() - none),
        len(found.crossing.keys() - none),
    )


def _row(name: str, total: int, none: int, same: int, crossing: int) -> str:
    answers = total - none
    shares = (_percent(answers - differing, answers) for differing in (same, crossing))
    return f"| {name} | {total} | {none or ''} | {' | '.join(shares)} |\n"


def _percent(part: int, whole: int) -> str:
    # Rounded down, so that 100 % means all of them.
    return f"{1000 * part // whole / 10:.1f} %"


def _exceptions() -> list[str]:
    lines = []
    for name, entry in sorted(UNEQUAL.items()):
        where = "crossing" if entry.crossing_only else "both"
        told = f"`{entry.kind.value}`" if entry.kind is not None else "answers"
        lines.append(f"| {name} | {where} | {told} | {entry.reason.replace('|', '')} |\n")
    return lines


def _errors() -> list[str]:
    rows = Counter(_error_row(e) for p in FAILING for e in failures(p) if e.api in FAMILIES)
    return [f"{row} {count} |\n" for row, count in rows.items()]


def _error_row(exchange: Exchange) -> str:
    found = judge(exchange)
    raised = found.raised.__name__ if found.raised is not None else "nothing"
    code = f"`{found.failure.code}`" if found.failure.code else ""
    kind = f"`{found.failure.kind.value}`"
    return f"| {exchange.provider} | {exchange.api} | {exchange.status} | {code} | {kind} | {raised} |"


def main(page: Path = PAGE) -> None:
    """Write the page."""
    assert folder() is not None, "no recordings: set TURNOUT_TRAFFIC"
    page.write_text(render(), encoding="utf-8")


if __name__ == "__main__":
    main()
