"""Makes the kinds of requests anew from prompts: `python -m services.runtime.kinds_refresh PROMPTS…`.

Each file has JSON lines with `prompt`, gzipped or not. Only hashed centroids are written, no text. Kinds have a version by
content: a table that was learned for other kinds is not used, so new kinds begin from priors.
"""

from __future__ import annotations

import gzip
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from services.core.routing.draw import uniform
from services.core.routing.learned.clusters import Clusters, trained
from services.core.routing.learned.features import features
from services.runtime.kinds import FILE, written_kinds

COUNT = 24
MOST = 60
"""Prompts of one domain of a file: a large set of examinations must not be all that there is."""


class _Line(msgspec.Struct):
    prompt: str
    domain: str = ""
    task: str = ""


def prompts(file: Path) -> Iterator[str]:
    """Prompts of a file, at most `MOST` of each domain (or task), drawn by their place.

    Raises:
        OSError: The file cannot be read.
        msgspec.DecodeError: A line is not JSON with a `prompt`.
    """
    raw = file.read_bytes()
    lines = (gzip.decompress(raw) if file.suffix == ".gz" else raw).splitlines()
    counts: dict[str, int] = {}
    for place in sorted(range(len(lines)), key=lambda i: uniform(i, "prompt")):
        line = msgspec.json.decode(lines[place], type=_Line)
        name = line.domain or line.task
        counts[name] = counts.get(name, 0) + 1
        if counts[name] <= MOST:
            yield line.prompt


def made(files: Sequence[Path]) -> Clusters:
    """The kinds of the prompts of `files`; equal files give equal kinds."""
    return trained([features(prompt) for file in files for prompt in prompts(file)], COUNT)


def main() -> None:
    """Write the file of the package."""
    files = [Path(name) for name in sys.argv[1:]]
    if not files:
        raise SystemExit("usage: python -m services.runtime.kinds_refresh PROMPTS.jsonl[.gz]…")
    FILE.write_bytes(written_kinds(made(files)))


if __name__ == "__main__":
    main()
