"""The last good policy on disk, so that a worker starts without a control plane."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from google.protobuf.message import DecodeError
from turnout.discovery.v1 import discovery_pb2 as pb

from services.core.discovery.messages import PolicySet
from services.dataplane.checked_file import CheckedFile
from services.wire.discovery import set_message, to_set

MAGIC = b"TURNOUT1"


class SnapshotFile:
    """The policy file of one worker."""

    def __init__(self, path: Path) -> None:
        self._file = CheckedFile(path, MAGIC)

    @property
    def corrupt(self) -> int:
        """Damaged files that were met."""
        return self._file.corrupt

    def load(self) -> Iterator[PolicySet]:
        """The sets on disk that are sound, newest first."""
        for path, body in self._file.load():
            try:
                policy = to_set(pb.StreamPolicyResponse.FromString(body))
            except DecodeError:
                self._file.damaged(path)
            else:
                yield policy

    def save(self, policy: PolicySet) -> None:
        """Write `policy`; the file that was there becomes the previous one.

        Raises:
            OSError: The disk is full or read-only; the old files are still good.
        """
        self._file.save(set_message(policy).SerializeToString(deterministic=True))
