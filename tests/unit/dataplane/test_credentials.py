"""Credential references: resolved late, rotated in place, never shown."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from services.dataplane.credentials import Credentials
from services.runtime.testing import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def write(path: Path, text: str | bytes) -> None:
    """Replace `path` as Kubernetes does, by renaming, so that its inode changes."""
    fresh = path.with_name(path.name + ".fresh")
    fresh.write_bytes(text if isinstance(text, bytes) else text.encode())
    fresh.replace(path)


@pytest.mark.parametrize(
    ("reference", "secret"),
    [
        ("env:KEY", "value"),
        ("env:PADDED", "value"),
        ("env:BLANK", None),
        ("env:MISSING", None),
        ("file:/no/such/file", None),
        ("sk-pasted", None),
        ("vault:secret/key", None),
        ("", None),
    ],
)
def test_a_reference_names_a_secret_or_nothing(reference: str, secret: str | None, clock: FakeClock) -> None:
    environment = {"KEY": "value", "PADDED": " value\n", "BLANK": "  "}
    assert Credentials(clock.monotonic, environment).secret(reference) == secret


def test_a_file_is_read_without_its_last_line_end_and_looked_at_again_after_a_while(
    tmp_path: Path, clock: FakeClock
) -> None:
    path = tmp_path / "key"
    write(path, "old\n")
    credentials = Credentials(clock.monotonic, {})
    assert credentials.secret(f"file:{path}") == "old"
    write(path, "new\n")
    assert credentials.secret(f"file:{path}") == "old"
    clock.advance(5.1)
    assert credentials.secret(f"file:{path}") == "new"


def test_a_file_that_was_rewritten_in_place_is_noticed_too(tmp_path: Path, clock: FakeClock) -> None:
    path = tmp_path / "key"
    path.write_text("old")
    credentials = Credentials(clock.monotonic, {})
    assert credentials.secret(f"file:{path}") == "old"
    path.write_text("new")
    os.utime(path, ns=(1, 1))
    clock.advance(6)
    assert credentials.secret(f"file:{path}") == "new"


def test_a_file_that_has_not_changed_is_not_read_again(tmp_path: Path, clock: FakeClock) -> None:
    path = tmp_path / "key"
    write(path, "one")
    credentials = Credentials(clock.monotonic, {})
    assert credentials.secret(f"file:{path}") == "one"
    stamp = path.stat()
    path.write_text("two")
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    clock.advance(6)
    # Same inode and time: by its stamp nothing has changed, so the file was not opened.
    assert credentials.secret(f"file:{path}") == "one"


def test_the_last_secret_stays_good_while_its_file_is_being_swapped(tmp_path: Path, clock: FakeClock) -> None:
    path = tmp_path / "key"
    write(path, "old")
    credentials = Credentials(clock.monotonic, {})
    assert credentials.secret(f"file:{path}") == "old"
    path.unlink()
    clock.advance(6)
    assert credentials.secret(f"file:{path}") == "old"
    write(path, b"\xff\xfe not text")
    clock.advance(6)
    assert credentials.secret(f"file:{path}") == "old"
    write(path, "new")
    clock.advance(6)
    assert credentials.secret(f"file:{path}") == "new"


def test_a_file_that_was_emptied_names_nothing_any_more(tmp_path: Path, clock: FakeClock) -> None:
    path = tmp_path / "key"
    write(path, "old")
    credentials = Credentials(clock.monotonic, {})
    assert credentials.secret(f"file:{path}") == "old"
    write(path, "\n")
    clock.advance(6)
    assert credentials.secret(f"file:{path}") is None


def test_no_secret_shows_in_a_repr(tmp_path: Path, clock: FakeClock) -> None:
    path = tmp_path / "key"
    write(path, "canary")
    credentials = Credentials(clock.monotonic, {})
    assert credentials.secret(f"file:{path}") == "canary"
    assert "canary" not in repr(credentials)
    assert all("canary" not in repr(value) for value in vars(credentials).values())


def test_the_environment_is_the_processes_own_by_default(monkeypatch: pytest.MonkeyPatch, clock: FakeClock) -> None:
    monkeypatch.setenv("TURNOUT_TEST_KEY", "own")
    assert Credentials(clock.monotonic).secret("env:TURNOUT_TEST_KEY") == "own"
