"""`turnout experiments`: which there are, and what can be said of one."""

from __future__ import annotations

from datetime import datetime

from turnout.experiment.v1 import experiment_service_pb2 as pb
from turnout.experiment.v1.experiment_service_pb2_grpc import ExperimentServiceStub

from services.cli.connection import Connection
from services.cli.output import Fail, escape, out, show_json, show_table
from services.cli.policy_commands import DEFAULT_CONNECTION, Json, call


def experiments(
    experiment: str = "",
    /,
    *,
    control: str = "",
    since: datetime | None = None,
    alpha: float = 0.05,
    fixed_horizon: bool = False,
    as_json: Json = False,
    connection: Connection = DEFAULT_CONNECTION,
) -> None:
    """Show the experiments, the routes with several variants; or what can be said of one, and of a shadow (ROUTER/ROUTE).

    Args:
        experiment: Router and route.
        control: Variant to compare with; empty: the experiment's own.
        since: Only requests from then on; what the same users did before is taken as their covariate (CUPED).
        alpha: Chance of a false alarm.
        fixed_horizon: Intervals for one look at a planned size; the default ones may be looked at at any time.
    """
    if not experiment:
        _list(connection, as_json=as_json)
        return
    router, slash, route = experiment.partition("/")
    if not slash:
        raise Fail(f"{experiment!r}: expected ROUTER/ROUTE", code=2)
    request = pb.GetReportRequest(
        router_id=router, route_id=route, control=control, alpha=alpha, fixed_horizon=fixed_horizon
    )
    if since is not None:
        request.since.FromDatetime(since)
    report = call(connection, "GetReport", request, ExperimentServiceStub)
    if as_json:
        show_json(report)
        return
    _show(report)


def _list(connection: Connection, *, as_json: bool) -> None:
    found = call(connection, "ListExperiments", pb.ListExperimentsRequest(), ExperimentServiceStub).experiments
    if as_json:
        show_json(list(found))
        return
    rows = []
    for info in found:
        split = ", ".join(f"{v} {w} %" for v, w in zip(info.variants, info.weights, strict=True))
        rows.append((f"{info.router_id}/{info.route_id}", split, f"{info.units:,}", f"{info.requests:,}"))
    show_table(
        ("EXPERIMENT", "VARIANTS", "UNITS", "REQUESTS"), rows, empty="no route of this policy has several variants"
    )


def _show(report: pb.Report) -> None:
    info = report.experiment
    out.print(f"[bold]{escape(info.router_id)}/{escape(info.route_id)}[/], control {escape(report.control)}")
    rows = [(a.variant_id, f"{a.units:,}", f"{a.requests:,}", f"{a.p95_ttft_ms:,.0f}") for a in report.arms]
    show_table(("VARIANT", "UNITS", "REQUESTS", "P95 TTFT MS"), rows, empty="no variants")
    if not report.split_broken:
        _show_comparisons(report)
    if report.moved_units:
        out.print(f"[dim]{report.moved_units:,} units were moved by a ramp and are left out[/]")
    out.print(f"[dim]split p = {report.split_p:.4g}[/]")
    out.print(f"[{'red' if report.split_broken else 'bold'}]{escape(report.verdict)}[/]")
    for shadow in report.shadows:
        _show_shadow(shadow)


def _show_shadow(shadow: pb.ShadowReport) -> None:
    """A candidate beside the answers that callers got."""
    out.print(f"[bold]shadow {escape(shadow.model)}[/], beside the answered requests; no part of the split test above")
    out.print(
        f"{shadow.requests:,} requests of {shadow.units:,} units, {shadow.error_rate:.2%} failed, p95 of ttft "
        f"{shadow.p95_ttft_ms:,.0f} ms, {shadow.answered_p95_ttft_ms:,.0f} ms answered"
    )
    rows = [_paired_row(metric) for metric in shadow.metrics]
    show_table(
        ("METRIC", "PAIRS", "ANSWERED", "SHADOW", "DIFFERENCE", "INTERVAL", "P"), rows, empty="nothing to compare yet"
    )


def _paired_row(found: pb.PairedMetric) -> tuple[str, ...]:
    return (
        found.metric,
        f"{found.pairs:,}",
        f"{found.answered:.4g}",
        f"{found.shadow:.4g}",
        f"{found.difference:+.4g}",
        f"{found.low:.4g} … {found.high:.4g}" if found.HasField("low") else "-",
        f"{found.p:.3g}",
    )


def _show_comparisons(report: pb.Report) -> None:
    """A table for each variant and role: what they have in common would take the width that numbers need."""
    found: dict[tuple[str, str], list[tuple[str, ...]]] = {}
    for compared in report.comparisons:
        found.setdefault((compared.variant_id, compared.role), []).append(_row(compared))
    if not found:
        out.print("[dim]nothing to compare yet[/]")
    for (variant, role), rows in found.items():
        out.print(f"\n[bold]{escape(variant)}[/] against {escape(report.control)}, {escape(role)}")
        show_table(("METRIC", "DIFFERENCE", "RELATIVE", "INTERVAL", "P", "VERDICT"), rows, empty="nothing")
    if found:
        out.print()


def _row(found: pb.Comparison) -> tuple[str, ...]:
    interval = f"{found.low:.3g} … {found.high:.3g}" if found.HasField("low") else "-"
    relative = f"{found.relative:+.1%}" if found.HasField("relative") else "-"
    return found.metric, f"{found.difference:+.3g}", relative, interval, f"{found.p:.2g}", found.verdict
