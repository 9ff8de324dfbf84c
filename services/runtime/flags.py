"""Flags of the services: one declared table each, every flag also an environment variable.

`--etcd-prefix` is TURNOUT_ETCD_PREFIX. A flag on the command line wins. A test
checks the Kubernetes manifests against these tables.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Flag:
    """One setting. Its type is that of its default: str, int, float or bool."""

    name: str
    default: str | int | float | bool
    meaning: str

    @property
    def variable(self) -> str:
        """Its environment variable."""
        return "TURNOUT_" + self.name.upper().replace("-", "_")


def read_flags(
    service: str, flags: Sequence[Flag], arguments: Sequence[str], environment: Mapping[str, str] = os.environ
) -> dict[str, Any]:
    """The values by name, dashes as underscores; says what is wrong, all of it, and exits with 2 if something is."""
    parser = argparse.ArgumentParser(
        prog=service, formatter_class=argparse.ArgumentDefaultsHelpFormatter, allow_abbrev=False
    )
    problems = []
    for flag in flags:
        kind = type(flag.default)
        given = environment.get(flag.variable)
        default: Any = flag.default
        if given is not None and given != "":
            try:
                default = _read(kind, given)
            except ValueError:
                problems.append(f"{flag.variable}={given!r} is not {_told(kind)}")
        meaning = f"{flag.meaning} [{flag.variable}]"
        if kind is bool:
            parser.add_argument(f"--{flag.name}", action=argparse.BooleanOptionalAction, default=default, help=meaning)
        else:
            parser.add_argument(f"--{flag.name}", type=kind, default=default, help=meaning)
    if problems:
        parser.error("; ".join(problems))
    return vars(parser.parse_args(arguments))


def _read(kind: type[Any], text: str) -> Any:
    if kind is bool:
        if text.lower() not in {"1", "true", "yes", "0", "false", "no"}:
            raise ValueError(text)
        return text.lower() in {"1", "true", "yes"}
    return kind(text)


def _told(kind: type[Any]) -> str:
    return {"int": "a whole number", "float": "a number", "bool": "true or false"}.get(kind.__name__, "text")
