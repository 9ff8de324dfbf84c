"""What people and machines see: tables and colours, or JSON with `--json`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from rich import markup
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

_NO_EDGE = 10_000
"""Columns: more than any row has."""

out = Console(highlight=False, soft_wrap=True, emoji=False)
err = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)


class Fail(Exception):
    """A command failed; the message is for people.

    Attributes:
        code: Exit code: 1 something failed, 2 the input is at fault.
    """

    def __init__(self, message: str, *, code: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.code = code


def show_failure(failure: Fail) -> None:
    """Print a failure, one line per problem."""
    for line in failure.message.splitlines():
        err.print(f"[red]error:[/] {escape(line)}")


def escape(text: str) -> str:
    """`text` with the markup characters of rich made plain."""
    return markup.escape(text)


def show_json(value: Any) -> None:
    """Print `value` as JSON on one line per top-level item, ready for jq."""
    sys.stdout.write(json.dumps(plain(value), ensure_ascii=False) + "\n")
    sys.stdout.flush()


def plain(value: Any) -> Any:
    """`value` with protobuf messages as plain dictionaries."""
    if isinstance(value, Message):
        return MessageToDict(value, preserving_proto_field_name=True)
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return value


def show_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """Print rows as a table; `empty` says what it means when there are none."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        # Names are folded where there is no room, and never cut.
        table.add_column(column, overflow="fold")
    count = 0
    for row in rows:
        table.add_row(*(escape(str(cell)) for cell in row))
        count += 1
    if count:
        if not out.is_terminal:
            # A pipe or a file has no width: one line per row, whole.
            table.width = Measurement.get(out, out.options.update(max_width=_NO_EDGE), table).maximum
        out.print(table)
    else:
        out.print(f"[dim]{empty}[/]")
