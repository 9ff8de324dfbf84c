"""The policy on disk: whole or not at all, and the one before it in reserve."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from services.core.discovery.messages import Entry, PolicySet
from services.core.policy.documents import Alias, Provider, key_of
from services.dataplane.snapshot_file import MAGIC, SnapshotFile


def policy(revision: int) -> PolicySet:
    documents = (Provider(name="openai", type="openai"), Alias(name="best", model=f"openai/m{revision}"))
    return PolicySet({key_of(d): Entry(d, revision) for d in documents}, revision, f"v{revision}", "store")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "policy.snapshot"


def revisions(path: Path) -> list[int]:
    return [p.revision for p in SnapshotFile(path).load()]


def test_what_was_saved_is_loaded_newest_first(path: Path) -> None:
    file = SnapshotFile(path)
    assert list(file.load()) == []
    for revision in (1, 2, 3):
        file.save(policy(revision))
    assert list(SnapshotFile(path).load()) == [policy(3), policy(2)]
    assert file.corrupt == 0


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _data: b"",
    "cut": lambda data: data[: len(data) // 2],
    "one byte short": lambda data: data[:-1],
    "one byte long": lambda data: data + b"\0",
    "a flipped bit in the body": lambda data: data[:-5] + bytes([data[-5] ^ 1]) + data[-4:],
    "a flipped bit in the checksum": lambda data: data[:12] + bytes([data[12] ^ 1]) + data[13:],
    "another magic word": lambda data: b"TURNOUT9" + data[len(MAGIC) :],
    "only the magic word": lambda _data: MAGIC,
    "zeros": lambda data: bytes(len(data)),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_left_out_and_the_one_before_it_used(path: Path, damage: str) -> None:
    file = SnapshotFile(path)
    file.save(policy(1))
    file.save(policy(2))
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    reader = SnapshotFile(path)
    assert [p.revision for p in reader.load()] == [1]
    assert reader.corrupt == 1


def test_a_file_of_garbage_with_a_good_checksum_is_damaged_too(path: Path) -> None:
    from hashlib import blake2b

    body = b"\xff\xff\xff"
    path.parent.mkdir(parents=True)
    path.write_bytes(MAGIC + blake2b(body, digest_size=32).digest() + body)
    assert revisions(path) == []


def test_a_write_that_was_cut_short_leaves_the_good_files_alone(path: Path) -> None:
    file = SnapshotFile(path)
    file.save(policy(1))
    # A crash inside save: the fresh file is there, half written.
    path.with_name(path.name + ".new").write_bytes(b"TURN")
    assert revisions(path) == [1]
    file.save(policy(2))
    assert revisions(path) == [2, 1]


def test_a_crash_between_the_two_renames_loses_nothing(path: Path) -> None:
    file = SnapshotFile(path)
    file.save(policy(1))
    path.replace(path.with_name(path.name + ".previous"))
    assert revisions(path) == [1]


def test_a_save_after_damage_is_sound(path: Path) -> None:
    SnapshotFile(path).save(policy(1))
    path.write_bytes(b"junk")
    SnapshotFile(path).save(policy(2))
    assert revisions(path) == [2]


def test_a_file_that_cannot_be_read_is_passed_over(path: Path) -> None:
    SnapshotFile(path).save(policy(1))
    SnapshotFile(path).save(policy(2))
    path.unlink()
    path.mkdir()
    assert revisions(path) == [1]


def test_a_disk_that_refuses_says_so_and_the_old_file_stays(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = SnapshotFile(path)
    file.save(policy(1))

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        file.save(policy(2))
    assert revisions(path) == [1]


def test_equal_policies_give_equal_files(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    SnapshotFile(path).save(policy(1))
    SnapshotFile(other).save(policy(1))
    assert path.read_bytes() == other.read_bytes()
