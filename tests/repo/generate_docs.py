"""Generate the reference pages of docs/ from the code that they describe: `make docs`.

Each page has a module in `tests/repo/pages/`. The pages are committed, so that they can be
read without running anything; `test_docs.py` proves that they are current.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.repo.pages import catalogue, cli, coverage, errors, policy, telemetry

ROOT = Path(__file__).resolve().parents[2]

PAGES: dict[str, Callable[[], str]] = {
    "docs/catalogue.md": catalogue.page,
    "docs/cli.md": cli.page,
    "docs/coverage.md": coverage.page,
    "docs/errors.md": errors.page,
    "docs/policy.md": policy.page,
    "docs/telemetry.md": telemetry.page,
}


def generate() -> None:
    """Write every page."""
    for path, page in PAGES.items():
        (ROOT / path).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    generate()
