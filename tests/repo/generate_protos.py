"""Generate the committed stubs from the protos: `make protos`.

The stubs are committed so that an install needs no protoc; `test_protos.py`
proves that they are current.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import grpc_tools
from grpc_tools import protoc

ROOT = Path(__file__).resolve().parents[2]


def generate(out: Path) -> None:
    """Write the stubs of every proto into `out`, which is emptied first."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    files = sorted(str(p.relative_to(ROOT / "protos")) for p in (ROOT / "protos" / "turnout").rglob("*.proto"))
    include = Path(grpc_tools.__file__).parent / "_proto"
    arguments = ["protoc", f"-I{ROOT / 'protos'}", f"-I{include}"]
    arguments += [f"--{kind}_out={out}" for kind in ("python", "grpc_python", "mypy", "mypy_grpc")]
    if protoc.main([*arguments, *files]) != 0:
        raise SystemExit("protoc failed")
    for folder in {out / "turnout", *(p.parent for p in (out / "turnout").rglob("*.py"))}:
        for package in (folder, folder.parent):
            if package != out:
                (package / "__init__.py").touch()


if __name__ == "__main__":
    generate(Path(sys.argv[1]).resolve())
