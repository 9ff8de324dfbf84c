"""Golden files: an expected value kept beside its input, rewritten on demand.

`make golden` sets TURNOUT_GOLDEN=rewrite; then what was found replaces what was expected. Only
keep such a change if you understand what caused it. A file that is missing is a failure
otherwise, so a case cannot pass for want of an expectation.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest


def rewriting() -> bool:
    """Whether expectations are being rewritten, instead of checked."""
    return os.environ.get("TURNOUT_GOLDEN") == "rewrite"


def check_text(path: Path, found: str) -> None:
    """Compare `found` with the file `path`; a final newline is added where there is none."""
    found = found if found.endswith("\n") or not found else found + "\n"
    if rewriting():
        if not path.exists() or path.read_text(encoding="utf-8") != found:
            path.write_text(found, encoding="utf-8")
        return
    if not path.exists():
        pytest.fail(f"{path.name} is missing; `make golden` writes it")
    expected = path.read_text(encoding="utf-8")
    assert found == expected, f"{path.name} differs; if that is right, `make golden` rewrites it"


def check_json(path: Path, found: Any) -> None:
    """Compare the plain value `found` with the JSON file `path`. The order of keys is part of the value."""
    check_text(path, json_text(found))


def json_text(value: Any) -> str:
    """`value` as the JSON that golden files hold: indented, keys in their own order, no escapes beyond JSON's."""
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)


def cases(directory: Path, ending: str) -> list[str]:
    """Names of the cases of `directory`: its files that end with `ending`, without it. Never empty."""
    found = sorted(path.name.removesuffix(ending) for path in directory.glob(f"*{ending}"))
    if not found:
        raise FileNotFoundError(f"no {ending} in {directory.name}")
    return found
