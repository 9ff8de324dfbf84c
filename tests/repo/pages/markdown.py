"""What all generated pages share: tables, and the docs that Python keeps in source only."""

from __future__ import annotations

import ast
import inspect
import json
import re
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any


def head(title: str, source: str) -> str:
    """The title of a page, and where it comes from."""
    return f"<!-- Made by `make docs` from {source}. Edit those. -->\n\n# {title}\n"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; pipes in cells are escaped."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def code(value: str) -> str:
    return f"`{value}`" if value else ""


def block(language: str, text: str) -> str:
    return f"```{language}\n{text.strip()}\n```\n"


def json_block(value: Any) -> str:
    return block("json", json.dumps(value, indent=2, ensure_ascii=False))


def prose(text: str) -> str:
    """Paragraphs written inside a module, filled to the width of our lines."""
    paragraphs = re.split(r"\n\s*\n", text.strip())
    # Code is not broken over lines: its spaces are hidden while the text is filled.
    hidden = (re.sub(r"`[^`]*`", lambda found: found[0].replace(" ", "\0"), " ".join(p.split())) for p in paragraphs)
    filled = (textwrap.fill(p, 120, break_on_hyphens=False).replace("\0", " ") for p in hidden)
    return "\n\n".join(filled) + "\n"


def sentence(text: str) -> str:
    """`text` with a capital letter, unless it begins with a name, and a full stop."""
    text = " ".join(text.split())
    first = text.partition(" ")[0]
    if first.islower() and first not in {"etcd", "grpc:"}:
        text = text[0].upper() + text[1:]
    return text + ("" if not text or text.endswith((".", "?", ":")) else ".")


def attribute_docs(kind: type) -> dict[str, str]:
    """The string below each attribute of a class, by the attribute's name."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    assert isinstance(tree, ast.ClassDef)
    found: dict[str, str] = {}
    for line, following in zip(tree.body, tree.body[1:], strict=False):
        name = line.targets[0] if isinstance(line, ast.Assign) else None
        text = following.value if isinstance(following, ast.Expr) else None
        if isinstance(name, ast.Name) and isinstance(text, ast.Constant):
            found[name.id] = inspect.cleandoc(str(text.value))
    return found
