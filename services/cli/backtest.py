"""`turnout backtest`: the requests of the past under another policy."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import grpc
from cyclopts import Parameter
from google.protobuf.json_format import ParseDict, ParseError
from turnout.policy.v1 import policy_service_pb2 as api
from turnout.policy.v1.lifecycle_service_pb2 import GetDraftRequest
from turnout.policy.v1.lifecycle_service_pb2_grpc import LifecycleServiceStub
from turnout.record.v1.record_pb2 import RequestRecord
from turnout.record.v1.record_service_pb2 import FollowRecordsRequest
from turnout.record.v1.record_service_pb2_grpc import RecordServiceStub

from services.cli.connection import Connection
from services.cli.output import Fail, escape, out, show_json, show_table
from services.cli.policy_commands import DEFAULT_CONNECTION, Files, Json, call, read_files
from services.cli.workers import addresses_of, follow_all
from services.core.experiments.ramps import with_slots
from services.core.policy.documents import Document, ResourceKey, Router, key_of
from services.core.policy.snapshot import Snapshot
from services.core.routing.backtest import LEARNED, Past, Place, Replayed, replay
from services.wire.policy import to_document, to_key
from services.wire.records import past_of

MOST = 1_000
"""Past records that a worker is asked for."""


def backtest(
    *,
    file: Files = (),
    draft: str = "",
    records: Annotated[
        tuple[Path, ...], Parameter(help="files that `turnout logs --json` wrote; default: what workers still have")
    ] = (),
    alone: Annotated[
        bool, Parameter(help="the files are the whole policy, and no control plane is asked", negative=())
    ] = False,
    dataplane: Annotated[tuple[str, ...], Parameter(help="workers' gRPC addresses; default: all connected ones")] = (),
    as_json: Json = False,
    connection: Connection = DEFAULT_CONNECTION,
) -> None:
    """Replay recorded requests under another policy: how many would go elsewhere, and at what cost.

    Args:
        draft: Replay as if this draft were published.
    """
    if not file and not draft:
        raise Fail("name the policy to try: a file with -f, or a draft with --draft", code=2)
    if alone and draft:
        raise Fail("--alone and --draft exclude each other: a draft is kept by the control plane", code=2)
    stored = {} if alone else _stored(connection)
    present = None if alone else _compiled(stored)
    overlay = _documents(read_files(file) if file else ())
    tried = _compiled({**_with_draft(connection, draft, stored), **_as_written(overlay, stored)})
    found = _from_files(records) if records else _from_workers(dataplane, connection)
    result = tested(found, tried, present)
    if as_json:
        show_json(result.form())
    else:
        _show(result)


@dataclass(slots=True)
class _Move:
    """Requests that went from one place and would go to another one."""

    requests: int = 0
    cost_before: float = 0.0
    cost_after: float = 0.0
    unpriced: int = 0


@dataclass(slots=True)
class Result:
    """What a backtest found."""

    total: int = 0
    without_facts: int = 0
    missing: Counter[str] = field(default_factory=Counter)
    undecidable: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    redrawn: int = 0
    preferences: int = 0
    moves: dict[tuple[Place, Place], _Move] = field(default_factory=dict)

    def add(self, past: Past, replayed: Replayed) -> None:
        """Count a decision that was made again, or could not be."""
        if replayed.missing:
            self.undecidable += 1
            self.missing.update(replayed.missing)
            return
        if replayed.place is None:
            self.refused[replayed.refusal] += 1
            return
        self.redrawn += replayed.redrawn
        move = self.moves.setdefault((past.place, replayed.place), _Move())
        move.requests += 1
        if past.usage is None:
            return
        if past.cost_usd is None or replayed.cost_usd is None:
            # One side alone would say that something became free.
            move.unpriced += 1
            return
        move.cost_before += past.cost_usd
        move.cost_after += replayed.cost_usd

    def elsewhere(self) -> int:
        """Requests that would go to another route, variant or model."""
        return sum(move.requests for (before, after), move in self.moves.items() if before != after)

    def ranked(self) -> list[tuple[Place, Place, _Move]]:
        """Moves, those that change something first, then by their number."""
        rows = [(before, after, move) for (before, after), move in self.moves.items()]
        return sorted(rows, key=lambda row: (row[0] == row[1], -row[2].requests, str(row[0]), str(row[1])))

    def form(self) -> dict[str, Any]:
        """All of it, for machines."""
        moves = self.moves.values()
        return {
            "requests": self.total,
            "elsewhere": self.elsewhere(),
            "same": sum(move.requests for move in moves) - self.elsewhere(),
            "not_decidable": self.undecidable,
            "missing_facts": dict(self.missing.most_common()),
            "without_facts": self.without_facts,
            "refused": dict(self.refused.most_common()),
            "redrawn": self.redrawn,
            "own_preferences": self.preferences,
            "cost_before_usd": sum(move.cost_before for move in moves),
            "cost_after_usd": sum(move.cost_after for move in moves),
            "unpriced": sum(move.unpriced for move in moves),
            "moves": [
                {
                    "from": _place_form(before),
                    "to": _place_form(after),
                    "requests": move.requests,
                    "cost_before_usd": move.cost_before,
                    "cost_after_usd": move.cost_after,
                    "unpriced": move.unpriced,
                }
                for before, after, move in self.ranked()
            ],
        }


def tested(records: Iterable[RequestRecord], tried: Snapshot, present: Snapshot | None) -> Result:
    """Replay `records` under `tried`; `present` is the policy that their slots are from, None: not known."""
    result = Result()
    for record in records:
        if record.shadow_of:
            continue
        result.total += 1
        past = past_of(record)
        if past is None:
            result.without_facts += 1
            continue
        result.preferences += record.facts.has_preferences
        result.add(past, replay(past, tried, present))
    return result


def _documents(resources: Iterable[Any]) -> dict[ResourceKey, Document]:
    from services.controlplane.policy import named

    # As a write would: a router may be without a name, and two of those are not one.
    return {key_of(document): document for document in map(named, map(to_document, resources))}


def _as_written(
    overlay: dict[ResourceKey, Document], stored: dict[ResourceKey, Document]
) -> dict[ResourceKey, Document]:
    """The documents with the slots that a write of them would give to their routers."""
    found = dict(overlay)
    for key, document in overlay.items():
        before = stored.get(key)
        if isinstance(document, Router):
            found[key] = with_slots(document, before if isinstance(before, Router) else None)
    return found


def _stored(connection: Connection) -> dict[ResourceKey, Document]:
    return _documents(call(connection, "ListResources", api.ListResourcesRequest()).resources)


def _with_draft(connection: Connection, name: str, stored: dict[ResourceKey, Document]) -> dict[ResourceKey, Document]:
    if not name:
        return stored
    draft = call(connection, "GetDraft", GetDraftRequest(name=name), LifecycleServiceStub)
    deleted = {to_key(key) for key in draft.delete}
    kept = {key: document for key, document in stored.items() if key not in deleted}
    return {**kept, **_documents(draft.resources)}


def _compiled(documents: dict[ResourceKey, Document]) -> Snapshot:
    from services.cli.offline import compiled

    return compiled(documents)


def _from_files(paths: Sequence[Path]) -> Iterator[RequestRecord]:
    for path in paths:
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise Fail(f"{path}: {getattr(error, 'strerror', None) or error}", code=2) from error
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield _read(line, f"{path}:{number}")


def _read(line: str, where: str) -> RequestRecord:
    try:
        return ParseDict(json.loads(line), RequestRecord(), ignore_unknown_fields=True)
    except (ValueError, ParseError, AttributeError, TypeError) as error:
        raise Fail(f"{where}: is not a record as `turnout logs --json` writes it ({error})", code=2) from error


def _from_workers(dataplane: Sequence[str], connection: Connection) -> Iterator[RequestRecord]:
    request = FollowRecordsRequest(tail=MOST, no_follow=True)

    def records(channel: grpc.Channel) -> Iterable[RequestRecord]:
        found: Iterable[RequestRecord] = RecordServiceStub(channel).FollowRecords(
            request, metadata=connection.metadata()
        )
        return found

    return follow_all(addresses_of(dataplane, connection), connection, records)


def _show(result: Result) -> None:
    form = result.form()
    decided = form["same"] + form["elsewhere"]
    out.print(f"[bold]{result.total:,} requests[/], {decided:,} decided anew, {form['elsewhere']:,} of them elsewhere")
    before, after = form["cost_before_usd"], form["cost_after_usd"]
    change = f" ({(after - before) / before:+.1%})" if before else ""
    if before or after:
        out.print(f"cost ${before:.6f} → ${after:.6f}{change}, of the same tokens")
    out.print()
    rows = [
        (_told(old), "=" if old == new else _told(new), move.requests, _dollars(move, move.cost_before),
         _dollars(move, move.cost_after))
        for old, new, move in result.ranked()
    ]  # fmt: skip
    show_table(("FROM", "TO", "REQUESTS", "COST", "COST THEN"), rows, empty="nothing could be decided anew")
    for told in _notes(result):
        out.print(f"[yellow]{escape(told)}[/]")


def _notes(result: Result) -> Iterator[str]:
    """What the numbers do not hold."""
    learned = result.missing[LEARNED]
    if learned:
        yield f"not decidable: {learned:,}; their variant chooses by what was learned, and records hold no tables"
    if result.undecidable > learned:
        facts = ((name, count) for name, count in result.missing.most_common() if name != LEARNED)
        keys = ", ".join(f"{name} ({count:,})" for name, count in facts)
        yield (
            f"not decidable: {result.undecidable - learned:,}; their records lack what conditions read: {keys}. "
            "`record_facts` of the settings lets keys of the metadata be kept; messages never are"
        )
    if result.without_facts:
        yield f"without facts: {result.without_facts:,}; they were refused unread, or are from an older release"
    for refusal, count in result.refused.most_common():
        yield f"would be refused: {count:,}: {refusal}"
    if result.redrawn:
        yield f"redrawn: {result.redrawn:,}; users are known by hash only, so who is in which variant is drawn anew"
    if result.preferences:
        yield f"own preferences: {result.preferences:,} requests had some among providers, which records do not keep"
    unpriced = sum(move.unpriced for move in result.moves.values())
    if unpriced:
        yield f"unpriced: {unpriced:,}; the price of one of the two models is not known, so both are left out of the cost"


def _dollars(move: _Move, cost: float) -> str:
    return "not known" if move.unpriced == move.requests else f"${cost:.6f}"


def _told(place: Place) -> str:
    names = [name for name in (place.router, place.route, place.variant) if name]
    return f"{'/'.join(names)} → {place.model}" if names else place.model or "nothing"


def _place_form(place: Place) -> dict[str, str]:
    return {"router": place.router, "route": place.route, "variant": place.variant, "model": place.model}
