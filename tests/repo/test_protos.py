"""The committed stubs are what the protos say, and the protos keep the house rules."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROTOS = ROOT / "protos"


def stubs(folder: Path) -> dict[str, str]:
    return {
        str(p.relative_to(folder)): p.read_text(encoding="utf-8")
        for p in sorted(folder.rglob("*"))
        if p.suffix in {".py", ".pyi"}
    }


def test_the_committed_stubs_are_current(tmp_path: Path) -> None:
    # mypy-protobuf's plugins sit beside this interpreter, which need not be on PATH.
    environment = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    script = ROOT / "tests" / "repo" / "generate_protos.py"
    subprocess.run(
        [sys.executable, str(script), str(tmp_path / "gen")], check=True, env=environment, capture_output=True
    )
    assert stubs(tmp_path / "gen") == stubs(PROTOS / "gen"), "run `make protos` and commit the result"


def test_every_message_field_and_method_has_a_sentence() -> None:
    silent = []
    declaration = re.compile(r"^\s*(message|enum|service|rpc|oneof|(?:optional |repeated )?[\w.<>, ]+ \w+ = \d+)")
    for path in sorted((PROTOS / "turnout").rglob("*.proto")):
        previous = ""
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if declaration.match(line) and not previous.strip().startswith("//"):
                silent.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()}")
            previous = line
    assert not silent, "\n".join(silent)
