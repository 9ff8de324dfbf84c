"""docs/architecture.md names files and functions; every one of them exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("docs/architecture.md", "README.md", "CONTRIBUTING.md")
PATH = re.compile(r"`((?:services|tests|docs|protos|k8s|bench)/[\w./-]+?)(?:::([\w.]+))?`")


def named() -> list[tuple[str, str, str]]:
    return [
        (page, path, symbol)
        for page in PAGES
        for path, symbol in PATH.findall((ROOT / page).read_text(encoding="utf-8"))
    ]


def defined_in(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
            names.update(f"{node.name}.{child.name}" for child in getattr(node, "body", []) if hasattr(child, "name"))
    return names


def test_every_file_that_the_docs_name_exists() -> None:
    missing = [f"{page}: {path}" for page, path, _ in named() if not (ROOT / path).exists()]
    assert not missing, "\n".join(missing)


def test_every_function_that_the_docs_name_exists() -> None:
    missing = [
        f"{page}: {path}::{symbol}"
        for page, path, symbol in named()
        if symbol and (ROOT / path).is_file() and symbol not in defined_in(ROOT / path)
    ]
    assert not missing, "\n".join(missing)


def test_the_architecture_page_walks_through_enough_of_the_house() -> None:
    assert sum(page == "docs/architecture.md" for page, _, _ in named()) > 40
