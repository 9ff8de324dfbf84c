"""Commands over the life of policy: history, rollback, drafts, canaries."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from cyclopts import App, Parameter
from google.protobuf.timestamp_pb2 import Timestamp
from turnout.policy.v1 import lifecycle_service_pb2 as api
from turnout.policy.v1.lifecycle_service_pb2_grpc import LifecycleServiceStub
from turnout.policy.v1.policy_pb2 import ResourceName

from services.cli.connection import Connection
from services.cli.output import Fail, err, escape, out, show_json, show_table
from services.cli.policy_commands import (
    DEFAULT_CONNECTION,
    Files,
    Json,
    Message,
    call,
    kind_of,
    label,
    read_files,
    show_applied,
    show_changes,
    show_problems,
)

draft = App(name="draft", help="Prepare changes of policy without putting them in force.")
canary = App(name="canary", help="Try a draft on a share of the workers.")

Names = Annotated[tuple[str, ...], Parameter(name="--delete", help="Kind/name of a document that it deletes")]


def _call(connection: Connection, method: str, request: Any) -> Any:
    return call(connection, method, request, LifecycleServiceStub)


def history(
    document: str = "",
    /,
    *,
    limit: int = 20,
    revision: int = 0,
    as_json: Json = False,
    connection: Connection = DEFAULT_CONNECTION,
) -> None:
    """Show who changed the policy, when and why; with --revision, what exactly.

    Args:
        document: Only changes of this document, Kind/name.
        limit: How many writes to show, newest first.
        revision: Show this write, with its differences.
    """
    if revision:
        found = _call(connection, "GetRevision", api.GetRevisionRequest(revision=revision))
        if as_json:
            show_json(found)
            return
        out.print(f"[bold]revision {found.revision}[/] by {escape(found.author)}, {_when(found.at)}")
        if found.message:
            out.print(escape(found.message))
        show_changes(found.changes)
        return
    request = api.ListRevisionsRequest(page_size=limit)
    if document:
        request.name.CopyFrom(_name(document))
    revisions = _call(connection, "ListRevisions", request).revisions
    if as_json:
        show_json(list(revisions))
        return
    rows = [(r.revision, _when(r.at), r.author, r.message, _summary(r.changes)) for r in revisions]
    show_table(("REVISION", "WHEN", "WHO", "WHY", "WHAT"), rows, empty="history keeps no such write")


def rollback(
    revision: int,
    /,
    *documents: str,
    message: Message = "",
    dry_run: bool = False,
    as_json: Json = False,
    connection: Connection = DEFAULT_CONNECTION,
) -> None:
    """Make the policy what it was at a revision. This is a new revision: a rollback can be rolled back.

    Args:
        revision: One that `turnout history` lists.
        documents: Only these documents, Kind/name; none: all.
        dry_run: Say what would change, and write nothing.
    """
    names = [_name(d) for d in documents]
    request = api.RollbackRequest(revision=revision, names=names, message=message, dry_run=dry_run)
    show_applied(_call(connection, "Rollback", request), dry_run=dry_run, as_json=as_json)


@draft.command
def save(
    name: str,
    /,
    *,
    file: Files = (),
    delete: Names = (),
    message: Message = "",
    as_json: Json = False,
    connection: Connection = DEFAULT_CONNECTION,
) -> None:
    """Keep documents under a name, checked, but not in force. Saving again replaces the draft.

    Args:
        name: Name of the draft.
    """
    resources = read_files(file) if file or not delete else []
    names = [_name(d) for d in delete]
    request = api.SaveDraftRequest(name=name, resources=resources, delete=names, message=message)
    _show_draft(_call(connection, "SaveDraft", request), as_json=as_json)


@draft.command
def show(name: str, /, *, as_json: Json = False, connection: Connection = DEFAULT_CONNECTION) -> None:
    """Show what a draft would change now, and what is wrong with it; exit code 2 when it could not be published.

    Args:
        name: Name of the draft.
    """
    found = _call(connection, "GetDraft", api.GetDraftRequest(name=name))
    _show_draft(found, as_json=as_json)
    if any(not p.warning for p in found.problems):
        raise SystemExit(2)


@draft.command(name="list")
def list_drafts(*, as_json: Json = False, connection: Connection = DEFAULT_CONNECTION) -> None:
    """Show the drafts by name."""
    found = _call(connection, "ListDrafts", api.ListDraftsRequest()).drafts
    if as_json:
        show_json(list(found))
        return
    rows = [(d.name, _when(d.saved_at), d.author, d.message) for d in found]
    show_table(("NAME", "SAVED", "WHO", "WHY"), rows, empty="no drafts; `turnout draft save NAME -f FILE` makes one")


@draft.command(name="delete")
def delete_draft(name: str, /, *, connection: Connection = DEFAULT_CONNECTION) -> None:
    """Throw a draft away.

    Args:
        name: Name of the draft.
    """
    _call(connection, "DeleteDraft", api.DeleteDraftRequest(name=name))
    out.print(f"[red]- deleted[/] draft {escape(name)}")


@draft.command
def publish(
    name: str,
    /,
    *,
    message: Message = "",
    as_json: Json = False,
    connection: Connection = DEFAULT_CONNECTION,
) -> None:
    """Put a draft in force everywhere: all of it, or nothing if anything is wrong or was changed meanwhile.

    Args:
        name: Name of the draft.
    """
    answer = _call(connection, "PublishDraft", api.PublishDraftRequest(name=name, message=message))
    show_applied(answer, as_json=as_json)


@canary.command(name="start")
def start_canary(
    name: str,
    /,
    *,
    percent: float = 0.0,
    node: Annotated[tuple[str, ...], Parameter(help="node id of a worker; may be repeated")] = (),
    as_json: Json = False,
    connection: Connection = DEFAULT_CONNECTION,
) -> None:
    """Put a draft in force at a share of the workers; `turnout nodes` shows them.

    Args:
        name: Name of the draft.
        percent: Share of the workers, above 0 up to 100; rounded up to whole workers.
    """
    if bool(percent) == bool(node):
        raise Fail("give either --percent or --node", code=2)
    request = api.StartCanaryRequest(draft=name, percent=percent, nodes=node)
    _show_canary(_call(connection, "StartCanary", request), as_json=as_json)


@canary.command(name="stop")
def stop_canary(*, connection: Connection = DEFAULT_CONNECTION) -> None:
    """End the canary: its workers go back to the policy of all others."""
    found = _call(connection, "StopCanary", api.StopCanaryRequest()).draft
    out.print(f"the canary of draft {escape(found)} is over" if found else "[dim]no canary was running[/]")


@canary.command(name="show")
def show_canary(*, as_json: Json = False, connection: Connection = DEFAULT_CONNECTION) -> None:
    """Show the canary that runs."""
    _show_canary(_call(connection, "GetCanary", api.GetCanaryRequest()), as_json=as_json)


def _show_draft(found: api.Draft, *, as_json: bool) -> None:
    if as_json:
        show_json(found)
        return
    out.print(f"[bold]draft {escape(found.name)}[/] by {escape(found.author)}, {_when(found.saved_at)}")
    if found.message:
        out.print(escape(found.message))
    show_changes(found.changes)
    show_problems(found.problems)
    if any(not p.warning for p in found.problems):
        err.print("[red]error:[/] it cannot be published like this")


def _show_canary(found: api.Canary, *, as_json: bool) -> None:
    if as_json:
        show_json(found)
        return
    out.print(
        f"draft [bold]{escape(found.draft)}[/] is in force at {', '.join(found.nodes)} [dim](version {found.version[:12]})[/]"
    )
    if found.percent:
        out.print(f"[dim]and at {found.percent:g} % of the workers that come later[/]")


def _name(text: str) -> ResourceName:
    kind, slash, name = text.partition("/")
    if not slash or not name:
        raise Fail(f"{text!r}: expected Kind/name, such as Router/user-aware", code=2)
    return ResourceName(kind=kind_of(kind), name=name)


def _summary(changes: Any) -> str:
    names = [label(c.name) for c in changes]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _when(at: Timestamp) -> str:
    return datetime.fromtimestamp(at.seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
