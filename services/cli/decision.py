"""A simulated decision, for people: the plan, what it was made of, and what was left out."""

from __future__ import annotations

from collections.abc import Sequence

from turnout.policy.v1.policy_service_pb2 import ModelScore, SimulateResponse

from services.cli.output import escape, out, show_table


def show_decision(answer: SimulateResponse) -> None:
    """Print where a request would go, or why nowhere, and how that came about."""
    if answer.no_route:
        out.print(f"[red]{escape(answer.no_route)}[/]")
    else:
        _show_choice(answer)
        _show_candidates(answer)
    if answer.skipped:
        out.print()
        show_table(("SKIPPED", "WHY"), [(s.model, s.why) for s in answer.skipped], empty="")
    out.print()
    for reason in answer.reasons:
        out.print(f"[dim]{escape(reason)}[/]")
    for warning in answer.warnings:
        out.print(f"[yellow]warning:[/] {escape(warning)}")
    for told in answer.unknown:
        out.print(f"[dim]not known here: {escape(told)}[/]")


def _show_choice(answer: SimulateResponse) -> None:
    if not answer.router_id:
        return
    names = f"{answer.router_id} → {answer.route_id} → {answer.variant_id}"
    out.print(f"[bold]{escape(names)}[/]")
    if answer.condition:
        out.print(f"  condition  {escape(answer.condition)}")
    if answer.HasField("slot"):
        unit = f"of this {answer.unit.removeprefix('metadata.')}" if answer.unit else "drawn"
        out.print(f"  slot       {answer.slot:,} of 10,000, {escape(unit)}")
    if answer.HasField("learned_table"):
        by = f"by table {answer.learned_table}" if answer.learned_table else "by priors, without a table"
        out.print(f"  learned    {escape(by)}")
    if answer.unit:
        out.print(f"  experiment {'in it' if answer.exposed else 'not in it'}")


def _show_candidates(answer: SimulateResponse) -> None:
    scores = {score.model: score for score in answer.scores}
    if not scores:
        for number, candidate in enumerate(answer.candidates, 1):
            out.print(f"  {number}. {escape(candidate)}")
        return
    # A term that only some have comes last.
    metrics = list(dict.fromkeys(term.metric for score in answer.scores for term in score.terms))
    rows = [
        (f"{number}.", model, *_cells(scores.get(model), metrics)) for number, model in enumerate(answer.candidates, 1)
    ]
    show_table(("", "CANDIDATE", *(metric.replace("_", " ").upper() for metric in metrics)), rows, empty="")


def _cells(score: ModelScore | None, metrics: Sequence[str]) -> list[str]:
    terms = {term.metric: term for term in score.terms} if score is not None else {}
    return [_cell(terms[metric]) if metric in terms else "-" for metric in metrics]


def _cell(term: ModelScore.Term) -> str:
    return f"{term.value:.4g}" if term.HasField("value") else "not known"
