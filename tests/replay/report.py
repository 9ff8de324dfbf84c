"""The share of recorded exchanges that survive, per provider: `python -m tests.replay.report` writes docs/replay.md."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tests.replay.run import compared, crossed, recorded, served
from tests.replay.traffic import PROVIDERS, ROOT, Exchange, exchanges, folder

PAGE = ROOT / "docs" / "replay.md"
OTHER = {"chat.completions": "messages", "messages": "chat.completions"}
FINISHES = {
    "stop",
    "length",
    "tool_calls",
    "content_filter",
    "end_turn",
    "max_tokens",
    "tool_use",
    "stop_sequence",
    "refusal",
}


@dataclass(slots=True)
class Share:
    """Counts of one provider."""

    same: int = 0
    cross: int = 0
    total: int = 0
    reasons: Counter[str] = field(default_factory=Counter)


def measure(provider: str) -> Share:
    """Replay every successful exchange of `provider` in both directions."""
    share = Share()
    for exchange in exchanges(provider):
        if exchange.status >= 300 or exchange.provenance == "composed":
            continue
        share.total += 1
        share.same += _counts(exchange, share, "same dialect", same=True)
        share.cross += _counts(exchange, share, "crossing", same=False)
    return share


def _counts(exchange: Exchange, share: Share, where: str, *, same: bool) -> bool:
    try:
        wanted = recorded(exchange)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        share.reasons[f"{where}: the recording itself is not an answer ({type(error).__name__})"] += 1
        return False
    try:
        if same:
            got = served(exchange, exchange.api)
            differing = [k for k in wanted if wanted[k] != got[k]]
        else:
            api = OTHER[exchange.api]
            there, here = crossed(wanted, api), compared(served(exchange, api), api)
            if there["finish"] not in FINISHES:
                there["finish"] = here["finish"]
            differing = [k for k in there if there[k] != here[k]]
            if "finish" in differing and api == "messages":
                differing.remove("finish") if _same_stop(there["finish"], here["finish"]) else None
    except AssertionError as error:
        share.reasons[f"{where}: refused, {str(error)[:110]}"] += 1
        return False
    if differing:
        share.reasons[f"{where}: {', '.join(differing)} differ"] += 1
    return not differing


def _same_stop(there: str, here: str) -> bool:
    return there == here or {there, here} <= {"stop", "function_call"}


def render(shares: dict[str, Share]) -> str:
    lines = [
        "# Replay of recorded traffic",
        "",
        "Recorded answers of real providers, replayed through the router's translations and read back: text, tool calls,",
        "finish reason, usage and reasoning in the same dialect; text, tool calls, finish reason and tokens across dialects.",
        "Made by `python -m tests.replay.report`.",
        "",
        "| provider | exchanges | same dialect | crossing | not equal, and why |",
        "|---|---:|---:|---:|---|",
    ]
    for provider, share in shares.items():
        if share.total:
            why = "; ".join(f"{n} × {reason}" for reason, n in share.reasons.most_common()).replace("|", "\\|")
            same, cross = 100 * share.same / share.total, 100 * share.cross / share.total
            lines.append(f"| {provider} | {share.total} | {same:.1f} % | {cross:.1f} % | {why} |")
    return "\n".join(lines) + "\n"


def main(page: Path = PAGE) -> None:
    assert folder() is not None, "no recordings: set TURNOUT_TRAFFIC"
    text = render({provider: measure(provider) for provider in PROVIDERS})
    page.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
