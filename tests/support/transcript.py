"""Transcripts: scenarios as text files that read as prose and are run as tests.

A transcript is a sequence of blocks, with comments and blank lines between them:

    # Why this is so: any number of comment lines.
    command word key=value key="value with spaces"
    input, any number of lines
    ----
    what the command says, up to the next blank line

A command is a function of its `Arguments` that returns text. Every argument must be read by the
command, so a misspelt one is an error and not silently a default. The expected part may be
empty. All commands of a file run before anything is compared, and the file is compared as a
whole, so that `make golden` (see `tests/support/golden.py`) can rewrite what was expected and
nothing else. The idea is that of etcd raft's `testdata`.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.golden import check_text

SEPARATOR = "----"


class BadTranscript(Exception):
    """The file is at fault, not what it describes."""


@dataclass(slots=True)
class Arguments:
    """The words of a command line and the lines below it. Each getter marks its argument as read."""

    words: list[str]
    named: dict[str, str]
    lines: list[str]
    _read: set[str] = field(default_factory=set)
    _lines_read: bool = False

    def word(self, default: str | None = None) -> str:
        """The next word that is not `key=value`."""
        if self.words:
            return self.words.pop(0)
        if default is None:
            raise BadTranscript("a word is missing")
        return default

    def text(self, name: str, default: str | None = None) -> str:
        """A named argument."""
        self._read.add(name)
        found = self.named.get(name, default)
        if found is None:
            raise BadTranscript(f"{name}= is missing")
        return found

    def number(self, name: str, default: float | None = None) -> float:
        """A named argument as a number."""
        return float(self.text(name, None if default is None else repr(default)))

    def optional_number(self, name: str) -> float | None:
        """A named argument as a number; None: not given."""
        return self.number(name) if name in self.named else None

    def listed(self, name: str) -> tuple[str, ...]:
        """A named argument that holds a list, separated by commas; empty when it is not given."""
        return tuple(part for part in self.text(name, "").split(",") if part)

    def under(self, prefix: str) -> dict[str, str]:
        """The named arguments whose names begin with `prefix`, without it."""
        found = {name: value for name, value in self.named.items() if name.startswith(prefix)}
        self._read.update(found)
        return {name.removeprefix(prefix): value for name, value in found.items()}

    def rest(self) -> dict[str, str]:
        """The named arguments that nothing has read yet, for commands that know any name."""
        return {name: self.text(name) for name in self.named if name not in self._read}

    def input(self) -> list[str]:
        """The lines between the command and the separator."""
        self._lines_read = True
        return self.lines

    def check_all_read(self) -> None:
        unread = [*self.words, *sorted(self.named.keys() - self._read), *(() if self._lines_read else self.lines)]
        if unread:
            raise BadTranscript(f"the command does not know {', '.join(map(repr, unread))}")


def read_arguments(line: str, lines: list[str] | None = None) -> Arguments:
    """The words and named arguments of `line`; quotes as in a shell."""
    parts = shlex.split(line)
    named = dict(part.split("=", 1) for part in parts if "=" in part)
    return Arguments([part for part in parts if "=" not in part], named, lines or [])


Command = Callable[[Arguments], str]


def run_transcript(path: Path, commands: Mapping[str, Command]) -> None:
    """Run the transcript at `path` and compare what its commands say with what it holds."""
    source = path.read_text(encoding="utf-8")
    if not source.startswith("# "):
        raise BadTranscript(f"{path.name}: a transcript begins with a comment on what it is about")
    check_text(path, "".join(_played(path.name, source, commands)))


def _played(name: str, source: str, commands: Mapping[str, Command]) -> Iterator[str]:
    """The lines of the transcript with what the commands say now in place of what was expected."""
    lines = iter(enumerate(source.splitlines(), 1))
    for number, line in lines:
        yield f"{line}\n"
        if not line.strip() or line.startswith("#"):
            continue
        where = f"{name}:{number}: {line}"
        body: list[str] = []
        for _, following in lines:
            yield f"{following}\n"
            if following == SEPARATOR:
                break
            body.append(following)
        else:
            raise BadTranscript(f"{where}: no {SEPARATOR} follows")
        said = _said(where, line, body, commands).splitlines()
        for told in said:
            if not told.strip() or told != told.rstrip():
                raise BadTranscript(f"{where}: {told!r} cannot be kept in a transcript")
            yield f"{told}\n"
        for _, expected in lines:
            if not expected.strip():
                yield "\n"
                break


def _said(where: str, line: str, body: list[str], commands: Mapping[str, Command]) -> str:
    """What the command of `line` says."""
    arguments = read_arguments(line, body)
    name = arguments.word()
    if name not in commands:
        raise BadTranscript(f"{where}: expected one of {', '.join(commands)}")
    try:
        said = commands[name](arguments)
        arguments.check_all_read()
    except (BadTranscript, ValueError, KeyError) as error:
        raise BadTranscript(f"{where}: {error}") from error
    return said
