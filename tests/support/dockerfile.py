"""Dockerfiles and .dockerignore files, read as far as our tests ask about them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Stage:
    """One stage: what it starts from, copies, and runs.

    Attributes:
        copies: Pairs of the stage that is copied from (empty: the build context), and the sources.
    """

    base: str
    user: str = ""
    entry: list[str] = field(default_factory=list)
    exposed: set[int] = field(default_factory=set)
    copies: list[tuple[str, list[str]]] = field(default_factory=list)


def read_stages(path: Path) -> dict[str, Stage]:
    """The stages of a Dockerfile by name."""
    text = re.sub(r"^#.*\n", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE).replace("\\\n", " ")
    arguments: dict[str, str] = {}
    found: dict[str, Stage] = {}
    stage = Stage("")
    for line in filter(None, map(str.strip, text.splitlines())):
        word, rest = line.split(maxsplit=1)
        if word == "ARG":
            key, _, value = rest.partition("=")
            arguments[f"${{{key}}}"] = value
        elif word == "FROM":
            base, _, name = rest.partition(" AS ")
            stage = found[name] = Stage(arguments.get(base, base), found[base].user if base in found else "")
        else:
            _read_step(stage, word, rest)
    return found


def _read_step(stage: Stage, word: str, rest: str) -> None:
    if word == "COPY":
        origin = re.match(r"--from=(\S+) ", rest)
        sources = rest.removeprefix(origin[0] if origin else "").split()[:-1]
        stage.copies.append((origin[1] if origin else "", sources))
    elif word == "USER":
        stage.user = rest
    elif word == "EXPOSE":
        stage.exposed = {int(port) for port in rest.split()}
    elif word == "ENTRYPOINT":
        stage.entry = json.loads(rest)


def is_sent(path: str, dockerignore: Path) -> bool:
    """Whether `path` reaches the builder; the last line that matches it or a folder above it decides."""
    sent = True
    for line in dockerignore.read_text(encoding="utf-8").splitlines():
        pattern = line.removeprefix("!").strip()
        if not pattern or line.startswith("#"):
            continue
        above = [path, *(str(parent) for parent in Path(path).parents)]
        if pattern == "*" or any(Path(p).match(pattern) for p in above if p != "."):
            sent = line.startswith("!")
    return sent
