"""Limits on the tail: no long files, no long functions, no clever nesting."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MAX_FILE_LINES = 400
MAX_TEST_LINES = 600
MAX_FUNCTION_LINES = 50

ALLOWED_FUNCTIONS: dict[str, str] = {}
"""'path::function' to the reason why it may be longer."""


def hand_written() -> list[Path]:
    return [p for folder in ("services", "tests", "bench") for p in sorted((ROOT / folder).rglob("*.py"))]


def test_no_file_is_longer_than_its_limit() -> None:
    long_files = []
    for path in hand_written():
        lines = len(path.read_text(encoding="utf-8").splitlines())
        limit = MAX_FILE_LINES if path.is_relative_to(ROOT / "services") else MAX_TEST_LINES
        if lines > limit:
            long_files.append(f"{path.relative_to(ROOT)}: {lines} lines, limit {limit}")
    assert not long_files, "\n".join(long_files)


def test_no_function_is_longer_than_fifty_lines() -> None:
    long_functions = []
    for path in hand_written():
        if not path.is_relative_to(ROOT / "services"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                name = f"{path.relative_to(ROOT)}::{node.name}"
                if length > MAX_FUNCTION_LINES and name not in ALLOWED_FUNCTIONS:
                    long_functions.append(f"{name}: {length} lines")
    assert not long_functions, "\n".join(long_functions)


def test_the_allow_list_holds_nothing_that_is_gone() -> None:
    for name in ALLOWED_FUNCTIONS:
        path, function = name.split("::")
        assert f"def {function}(" in (ROOT / path).read_text(encoding="utf-8"), name
