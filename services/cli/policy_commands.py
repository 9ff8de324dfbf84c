"""Commands over policy: apply, validate, diff, get, delete, simulate, nodes."""

from __future__ import annotations

import difflib
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import yaml
from cyclopts import Parameter
from turnout.policy.v1 import policy_service_pb2 as api
from turnout.policy.v1.lifecycle_service_pb2 import GetDraftRequest
from turnout.policy.v1.lifecycle_service_pb2_grpc import LifecycleServiceStub
from turnout.policy.v1.policy_pb2 import Facts, Problem, Resource, ResourceName
from turnout.policy.v1.policy_service_pb2_grpc import PolicyServiceStub

from services.cli.connection import TIMEOUT_SECONDS, Connection, rpc_errors
from services.cli.decision import show_decision
from services.cli.output import Fail, err, escape, out, show_json, show_table
from services.core.policy.documents import KINDS
from services.wire.document_form import read_yaml, to_form, to_yaml

# A hyphen alone is a value: standard input.
Files = Annotated[
    tuple[Path, ...],
    Parameter(name=["--file", "-f"], help="policy file or folder; - is standard input", allow_leading_hyphen=True),
]
Message = Annotated[str, Parameter(name=["--message", "-m"], help="why, for the history")]
Json = Annotated[bool, Parameter(name="--json", negative=(), help="print JSON")]

_SIGNS = {
    api.Change.ACTION_CREATED: "[green]+ created[/]  ",
    api.Change.ACTION_UPDATED: "[yellow]~ updated[/]  ",
    api.Change.ACTION_UNCHANGED: "[dim]= unchanged[/]",
    api.Change.ACTION_DELETED: "[red]- deleted[/]  ",
}
DEFAULT_CONNECTION = Connection()


def read_files(files: tuple[Path, ...]) -> list[Resource]:
    """The documents of files and folders (*.yaml, *.yml, *.json), with every problem of all of them at once.

    Raises:
        Fail: Something cannot be read, or is not a policy document.
    """
    if not files:
        raise Fail("name a policy file or folder with -f", code=2)
    resources: list[Resource] = []
    problems: list[str] = []
    for path in _expand(files):
        text = sys.stdin.read() if str(path) == "-" else _read(path)
        found, wrong = read_yaml(text)
        resources.extend(found)
        problems.extend(f"{path}: {problem}" for problem in wrong if not problem.warning)
    if problems:
        raise Fail("\n".join(problems), code=2)
    return resources


def _expand(files: tuple[Path, ...]) -> list[Path]:
    found: list[Path] = []
    for path in files:
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.suffix in {".yaml", ".yml", ".json"})
            if not inside:
                raise Fail(f"{path}: no policy file (*.yaml, *.yml, *.json) in this folder", code=2)
            found.extend(inside)
        else:
            found.append(path)
    return found


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Fail(f"{path}: {getattr(error, 'strerror', None) or error}", code=2) from error


def apply(
    *,
    file: Files = (),
    message: Message = "",
    dry_run: bool = False,
    as_json: Json = False,
    connection: Connection = DEFAULT_CONNECTION,
) -> None:
    """Write policy documents: all of them, or none if anything is wrong.

    Args:
        dry_run: Say what would change, and write nothing.
    """
    resources = read_files(file)
    request = api.ApplyRequest(resources=resources, dry_run=dry_run, message=message)
    show_applied(call(connection, "Apply", request), dry_run=dry_run, as_json=as_json)


def show_applied(answer: api.ApplyResponse, *, dry_run: bool = False, as_json: bool = False) -> None:
    """Say what a write did, or would do."""
    if as_json:
        show_json(answer)
        return
    for change in answer.changes:
        out.print(f"{_SIGNS.get(change.action, '?')} {escape(label(change.name))}")
    show_problems(answer.warnings)
    out.print(f"[dim]{'would be written at' if dry_run else 'written; store is at'} revision {answer.revision}[/]")


def validate(
    *, file: Files = (), offline: bool = False, as_json: Json = False, connection: Connection = DEFAULT_CONNECTION
) -> None:
    """Check policy documents on top of what the control plane holds; --offline checks them by themselves, here.

    Args:
        offline: Check without a control plane, as if there were no other documents.
    """
    resources = read_files(file)
    if offline:
        problems = _check_here(resources)
    else:
        problems = list(call(connection, "Validate", api.ValidateRequest(resources=resources)).problems)
    wrong = [p for p in problems if not p.warning]
    if as_json:
        show_json({"valid": not wrong, "problems": problems})
    else:
        show_problems(problems)
        if not wrong:
            out.print(f"[green]valid[/]: {len(resources)} document{'s' if len(resources) != 1 else ''}")
    if wrong:
        raise SystemExit(2)


def _check_here(resources: list[Resource]) -> list[Problem]:
    from services.cli.offline import check

    return check(resources)


def diff(*, file: Files = (), as_json: Json = False, connection: Connection = DEFAULT_CONNECTION) -> None:
    """Show what `apply` would change; exit code 1 when anything would."""
    answer = call(connection, "Apply", api.ApplyRequest(resources=read_files(file), dry_run=True))
    changes = [c for c in answer.changes if c.action != api.Change.ACTION_UNCHANGED]
    if as_json:
        show_json(changes)
    else:
        show_changes(changes)
    if not changes:
        if not as_json:
            out.print("[dim]no difference[/]")
        return
    raise SystemExit(1)


def show_changes(changes: Iterable[api.Change]) -> None:
    """Show documents before and after as differences of their YAML."""
    for change in changes:
        before = _text(change.before) if change.HasField("before") else ""
        after = _text(change.after) if change.HasField("after") else ""
        name = label(change.name)
        for line in difflib.unified_diff(
            before.splitlines(), after.splitlines(), f"before {name}", f"after {name}", lineterm=""
        ):
            colour = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "default")
            out.print(f"[{colour}]{escape(line)}[/]")


def get(
    kind: str = "", name: str = "", /, *, as_json: Json = False, connection: Connection = DEFAULT_CONNECTION
) -> None:
    """Print policy documents as YAML: all, one kind (`turnout get Router`), or one (`turnout get Router user-aware`).

    Args:
        kind: Kind of the documents, in any case, with or without a plural s; empty: all kinds.
        name: Name of the document; empty: all of the kind.
    """
    wanted = kind_of(kind) if kind else ""
    if name:
        found = [call(connection, "GetResource", api.GetResourceRequest(name=ResourceName(kind=wanted, name=name)))]
    else:
        found = list(call(connection, "ListResources", api.ListResourcesRequest(kind=wanted)).resources)
    if as_json:
        show_json([{**to_form(r), "etag": r.etag} for r in found])
    elif found:
        sys.stdout.write(to_yaml(found))
    else:
        out.print("[dim]no documents[/]")


def delete(kind: str, name: str, /, *, message: Message = "", connection: Connection = DEFAULT_CONNECTION) -> None:
    """Delete a policy document; refused while others refer to it.

    Args:
        kind: Kind of the document.
        name: Name of the document.
    """
    request = api.DeleteResourceRequest(name=ResourceName(kind=kind_of(kind), name=name), message=message)
    answer = call(connection, "DeleteResource", request)
    out.print(f"[red]- deleted[/] {kind_of(kind)}/{escape(name)} [dim](revision {answer.revision})[/]")


def nodes(*, as_json: Json = False, connection: Connection = DEFAULT_CONNECTION) -> None:
    """Show the workers: which policy each one runs, and why it refused a newer one."""
    answer = call(connection, "ListNodes", api.ListNodesRequest())
    if as_json:
        show_json(answer)
        return
    rows = []
    for node in answer.nodes:
        state = "current" if node.applied_version == answer.version else f"behind (store at {answer.revision})"
        if answer.canary_version and node.applied_version == answer.canary_version:
            state = "canary"
        if node.nack_problems:
            state = "REFUSED: " + "; ".join(p.message for p in node.nack_problems)
        if not node.connected:
            state = "not connected"
        version, catalogue = node.applied_version[:12], node.catalogue_version
        rows.append((node.id, node.address, node.applied_revision, version, catalogue, state))
    show_table(("NODE", "ADDRESS", "REVISION", "VERSION", "CATALOGUE", "STATE"), rows, empty="no worker is connected")


def simulate(  # noqa: PLR0913 - one parameter per flag
    model: str = "",
    /,
    *,
    metadata: Annotated[tuple[str, ...], Parameter(name=["--metadata", "-m"], help="KEY=VALUE; JSON values work")] = (),
    user: str = "",
    session: str = "",
    cached: Annotated[tuple[str, ...], Parameter(name=["--cached"], help="MODEL=SHARE of the prompt, 0 to 1")] = (),
    body: Annotated[
        Path | None, Parameter(help="a JSON chat request; - is standard input", allow_leading_hyphen=True)
    ] = None,
    seed: int = 0,
    file: Files = (),
    draft: str = "",
    as_json: Json = False,
    connection: Connection = DEFAULT_CONNECTION,
) -> None:
    """Show which model a request would be sent to, and why, with the very function that the workers use.

    Args:
        model: Model that the request names; may be empty with --body.
        user: Sticky user of the request; empty: the variant is drawn from the seed.
        session: Session of the request, as in its `session_id`.
        cached: What a model's prompt cache holds of the session.
        seed: Seed of the draw.
        draft: Decide as if this draft were published.
    """
    request = api.SimulateRequest(model=model, user=user, seed=seed, session=session, cached=_shares(cached))
    if draft:
        found = call(connection, "GetDraft", GetDraftRequest(name=draft), LifecycleServiceStub)
        request.overlay.extend(found.resources)
        request.delete.extend(found.delete)
    request.overlay.extend(read_files(file) if file else ())
    request.facts.CopyFrom(_facts(metadata))
    if body is not None:
        request.body = (sys.stdin.read() if str(body) == "-" else _read(body)).encode()
    answer = call(connection, "Simulate", request)
    if as_json:
        show_json(answer)
    else:
        show_decision(answer)
    if answer.no_route:
        raise SystemExit(1)


def _shares(pairs: tuple[str, ...]) -> dict[str, float]:
    found: dict[str, float] = {}
    for pair in pairs:
        model, _, share = pair.rpartition("=")
        try:
            found[model] = float(share)
        except ValueError:
            model = ""
        if not model:
            raise Fail(f"--cached {pair!r}: expected MODEL=SHARE, such as openai/gpt-5=0.9", code=2)
    return found


def _facts(pairs: tuple[str, ...]) -> Facts:
    values: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key:
            raise Fail(f"--metadata {pair!r}: expected KEY=VALUE", code=2)
        try:
            values[key] = json.loads(text)
        except ValueError:
            values[key] = text
    facts = Facts()
    facts.metadata.update(values)
    return facts


def call(connection: Connection, method: str, request: Any, stub: Any = PolicyServiceStub) -> Any:
    """Call the control plane.

    Args:
        stub: Class of the service's stub.

    Raises:
        Fail: It cannot be reached, or refuses.
    """
    address = connection.address()
    with connection.channel(address) as channel, rpc_errors(address):
        return getattr(stub(channel), method)(request, timeout=TIMEOUT_SECONDS, metadata=connection.metadata())


def kind_of(text: str) -> str:
    """The kind that `text` means: any case, with or without a plural s.

    Raises:
        Fail: There is no such kind.
    """
    for kind in KINDS:
        if text.lower().rstrip("s") == kind.lower().rstrip("s"):
            return kind
    raise Fail(f"unknown kind {text!r}; known are {', '.join(KINDS)}", code=2)


def label(name: ResourceName) -> str:
    """A document's name, Kind/name."""
    return f"{name.kind}/{name.name}"


def _text(resource: Resource) -> str:
    return yaml.safe_dump(to_form(resource), sort_keys=False, allow_unicode=True)


def show_problems(problems: Any) -> None:
    """Print problems, errors and warnings."""
    for problem in problems:
        colour, word = ("yellow", "warning") if problem.warning else ("red", "error")
        where = label(problem.resource) + (f" {problem.field}" if problem.field else "")
        err.print(f"[{colour}]{word}:[/] {escape(where)}: {escape(problem.message)}")
