"""docs/cli.md: every command and flag, from the command line's own help and the services' tables of flags."""

from __future__ import annotations

import re

from services.cli.app import app
from services.controlplane.__main__ import FLAGS as CONTROLPLANE_FLAGS
from services.dataplane.__main__ import FLAGS as DATAPLANE_FLAGS
from services.http_bridge.__main__ import FLAGS as BRIDGE_FLAGS
from services.runtime.flags import Flag
from tests.repo.pages.markdown import code, head, prose, sentence, table

SOURCE = "the help of services/cli and the FLAGS of the services"
SERVICES = {"controlplane": CONTROLPLANE_FLAGS, "dataplane": DATAPLANE_FLAGS, "bridge": BRIDGE_FLAGS}
SHARED = ("--controlplane", "--api-key", "--data-dir")
"""The flags of a connection; described once for all commands that have them."""

Row = tuple[str, str, str]
"""Flags, meaning, default."""


def page() -> str:
    parts = [head("The command line", SOURCE), prose(INTRO), _connection(), prose(OUTPUT)]
    for name, (meaning, rows) in commands().items():
        if name in SERVICES:
            continue
        parts.append(f"## turnout {name}\n\n{sentence(meaning)}\n")
        shared = _is_remote(rows)
        own = [row for row in rows if not (shared and row[0].split()[0] in SHARED)]
        if own:
            parts.append(table(["argument", "meaning", "default"], ((code(f), m, code(d)) for f, m, d in own)))
        if shared:
            parts.append("Takes the flags of a [connection](#which-suite-a-command-talks-to) too.\n")
    parts.append("## The services\n")
    parts.append(prose(SERVICE_FLAGS))
    parts += [_service(name, flags) for name, flags in SERVICES.items()]
    return "\n".join(parts)


INTRO = """
    `turnout --help` and `turnout COMMAND --help` say the same. Output is for people; `--json` prints JSON.
"""

OUTPUT = """
    Exit codes: 0 done; 1 something failed (for `diff`: there is a difference); 2 the input is at fault.
"""

SERVICE_FLAGS = """
    `turnout up` starts these; run them one by one to spread them over machines. Every flag is also an environment
    variable; the flag wins. What the parts say to each other over gRPC is not encrypted, so keep it on a private network.
    The control plane reads two secrets from the environment only: `TURNOUT_ETCD_PASSWORD`, and
    `TURNOUT_ADMIN_KEY`, a key that may do everything, for a store that holds no key yet.
"""


def commands() -> dict[str, tuple[str, list[Row]]]:
    """Each command's meaning and arguments, read from the help that cyclopts renders."""
    found: dict[str, tuple[str, list[Row]]] = {}
    text = app.generate_docs(output_format="markdown")
    for section in re.split(r"^#{2,3} turnout ", text, flags=re.MULTILINE)[1:]:
        name, _, body = section.partition("\n")
        rows = [_row(*match) for match in re.findall(r"^\* `([^`]+)`: ?(.*)$", body, re.MULTILINE)]
        meaning = re.sub(r"```.*?```", "", body, flags=re.DOTALL).strip().split("\n\n")[0]
        if "Commands**:" not in body:
            found[name.strip()] = (meaning, rows)
    return found


def _row(flags: str, text: str) -> Row:
    facts = dict(re.findall(r"\*\[(env|default|choices): ([^\]]*)\]\*", text))
    on = facts.get("default") == "True"
    hidden = ("--empty-",) if on else ("--empty-", "--no-")
    shown = ", ".join(f for f in flags.split(", ") if not f.startswith(hidden))
    meaning = re.sub(r"\s*\*{1,2}\[.*?\]\*{1,2}", "", text)
    said = [sentence(meaning)] if meaning.strip() else []
    if "choices" in facts:
        said.append(f"One of {facts['choices']}.")
    if "**[required]**" in text:
        said.append("Required.")
    if "env" in facts:
        said.append(f"Variable {code(facts['env'])}.")
    default = re.sub(r"^(\(\)|\"\"|False|True)$", "", facts.get("default", ""))
    return shown, " ".join(said), "on" if on else re.sub(r"^\('(.*)',\)$", r"\1", default)


def _is_remote(rows: list[Row]) -> bool:
    return {row[0].split()[0] for row in rows} >= set(SHARED)


def _connection() -> str:
    rows = next(rows for _, rows in commands().values() if _is_remote(rows))
    shared = [row for row in rows if row[0].split()[0] in SHARED]
    text = "## Which suite a command talks to\n\n"
    text += "In a folder where `turnout up` runs, nothing has to be said. Elsewhere:\n\n"
    return text + table(["flag", "meaning", "default"], ((code(f), m, code(d)) for f, m, d in shared))


def _service(name: str, flags: tuple[Flag, ...]) -> str:
    rows = [(code(f"--{f.name}"), code(f.variable), sentence(f.meaning), code(_shown(f.default))) for f in flags]
    text = f"### turnout {name}\n\n{commands()[name][0].partition(' (')[0]}.\n\n"
    return text + table(["flag", "variable", "meaning", "default"], rows)


def _shown(default: str | float) -> str:
    """A default as people read it."""
    return ("off", "on")[default] if isinstance(default, bool) else str(default)
