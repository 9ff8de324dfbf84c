"""`turnout learn list` and `turnout learn show`: what a deployment has learned of its models."""

from __future__ import annotations

from turnout.learning.v1 import learning_service_pb2 as pb
from turnout.learning.v1.learning_service_pb2_grpc import LearningServiceStub

from services.cli.connection import Connection
from services.cli.output import Fail, escape, out, show_json, show_table
from services.cli.policy_commands import DEFAULT_CONNECTION, Json, call
from services.core.routing.learned.choice import REWARD_ALONE

_DONE = "as it was chosen"


def list_learned(*, as_json: Json = False, connection: Connection = DEFAULT_CONNECTION) -> None:
    """Show the variants that learn, with what each has learned from."""
    tables = call(connection, "ListLearned", pb.ListLearnedRequest(), LearningServiceStub).tables
    if as_json:
        show_json(list(tables))
        return
    rows = [(_name(t), f"{t.decisions:,}", f"{t.rewarded:,}", t.version or "-", _learned_at(t)) for t in tables]
    columns = ("VARIANT", "DECISIONS", "REWARDED", "TABLE", "LEARNED AT")
    show_table(columns, rows, empty="no variant of this policy has model_selection.learned")


def show_learned(place: str, /, *, as_json: Json = False, connection: Connection = DEFAULT_CONNECTION) -> None:
    """Show what was learned at a variant, and whether choosing by it is worth it.

    Args:
        place: ROUTER/ROUTE, or ROUTER/ROUTE/VARIANT where several variants learn.
    """
    parts = place.split("/")
    if len(parts) not in {2, 3} or not all(parts):
        raise Fail(f"{place!r}: expected ROUTER/ROUTE or ROUTER/ROUTE/VARIANT", code=2)
    request = pb.GetLearnedRequest(router_id=parts[0], route_id=parts[1], variant_id="".join(parts[2:]))
    learned = call(connection, "GetLearned", request, LearningServiceStub)
    if as_json:
        show_json(learned)
        return
    _show(learned)


def _show(learned: pb.Learned) -> None:
    table = learned.table
    reward = f"the metric {learned.metric!r}" if learned.metric else "how answers ended"
    out.print(
        f"[bold]{escape(_name(table))}[/], reward: {escape(reward)}, objective: {escape(learned.objective or REWARD_ALONE)}"
    )
    out.print(f"[dim]{table.decisions:,} decisions, {table.rewarded:,} with a reward; table {table.version or '-'}[/]")
    show_table(
        ("MODEL", "CHOSEN", "SHARE", "REWARD", "USD", "SECONDS"), [_model(m) for m in learned.models], empty="no models"
    )
    if learned.HasField("logged_reward"):
        _show_ways(learned)
    out.print(f"[bold]{escape(learned.verdict)}[/]")


def _name(table: pb.LearnedTable) -> str:
    return f"{table.router_id}/{table.route_id}/{table.variant_id}"


def _learned_at(table: pb.LearnedTable) -> str:
    return table.learned_at.ToJsonString() if table.HasField("learned_at") else "-"


def _show_ways(learned: pb.Learned) -> None:
    """What was done and what else could have been: by the objective, and what that is made of."""
    ways, quality = [learned.greedy, *learned.singles], learned.objective in {"", REWARD_ALONE}
    logged = (f"{learned.logged_reward:.3f}" if quality else "-", "-", f"{learned.table.rewarded:,}", "-")
    columns = ("CHOICE", "REWARD" if quality else "WORTH", "INTERVAL", "REQUESTS", "COUNT AS")
    show_table(columns, [(_DONE, *logged), *map(_judged, ways)], empty="nothing")
    means = [(_DONE, f"{learned.logged_reward:.3f}", *_logged(learned)), *map(_beside, ways)]
    show_table(("CHOICE", "REWARD", "USD", "SECONDS"), means, empty="nothing")


def _model(found: pb.LearnedModel) -> tuple[str, ...]:
    return found.model, f"{found.chosen:,}", f"{found.share:.1%}", f"{found.reward:.3f}", *_means(found)


def _means(found: pb.LearnedModel | pb.OffPolicy) -> tuple[str, str]:
    """Cost and time."""
    cost = f"{found.cost_usd:.6f}" if found.HasField("cost_usd") else "-"
    return cost, f"{found.seconds:.2f}" if found.HasField("seconds") else "-"


def _logged(learned: pb.Learned) -> tuple[str, str]:
    cost = f"{learned.logged_cost_usd:.6f}" if learned.HasField("logged_cost_usd") else "-"
    return cost, f"{learned.logged_seconds:.2f}" if learned.HasField("logged_seconds") else "-"


def _called(found: pb.OffPolicy) -> str:
    return "the best of the table" if found.candidate == "greedy" else f"{found.candidate} alone"


def _judged(found: pb.OffPolicy) -> tuple[str, ...]:
    counts = (f"{found.requests:,}", f"{found.effective:,.0f}")
    if not found.HasField("utility"):
        return _called(found), "-", "-", *counts
    interval = f"{found.utility_low:.3f} … {found.utility_high:.3f}"
    return _called(found), f"{found.utility:.3f}", interval, *counts


def _beside(found: pb.OffPolicy) -> tuple[str, ...]:
    return _called(found), f"{found.reward:.3f}" if found.HasField("reward") else "-", *_means(found)
