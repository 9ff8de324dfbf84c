"""The last good policy on disk, so that a worker starts without a control plane.

One file and the one before it: a magic word, a checksum, then the set as a
message. Writes go to a new file that replaces the old one whole; a file that is
cut or flipped is left alone and the one before it is used.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path

from google.protobuf.message import DecodeError
from turnout.discovery.v1 import discovery_pb2 as pb

from services.core.discovery.messages import PolicySet
from services.wire.discovery import set_message, to_set

log = logging.getLogger(__name__)

MAGIC = b"TURNOUT1"
_CHECKSUM = 32


class SnapshotFile:
    """The policy file of one worker."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._previous = path.with_name(path.name + ".previous")
        self.corrupt = 0

    def load(self) -> Iterator[PolicySet]:
        """The sets on disk that are sound, newest first."""
        for path in (self._path, self._previous):
            try:
                data = path.read_bytes()
            except FileNotFoundError:
                continue
            except OSError as error:
                log.warning("cannot read %s: %s", path, error.strerror)
                continue
            policy = _unpack(data)
            if policy is None:
                self.corrupt += 1
                log.warning("%s is damaged; it is left out", path)
            else:
                yield policy

    def save(self, policy: PolicySet) -> None:
        """Write `policy`; the file that was there becomes the previous one.

        Raises:
            OSError: The disk is full or read-only; the old files are still good.
        """
        body = set_message(policy).SerializeToString(deterministic=True)
        data = MAGIC + blake2b(body, digest_size=_CHECKSUM).digest() + body
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._path.with_name(self._path.name + ".new")
        with fresh.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if self._path.exists():
            self._path.replace(self._previous)
        fresh.replace(self._path)


def _unpack(data: bytes) -> PolicySet | None:
    """The set of a file's bytes; None when they are damaged."""
    start = len(MAGIC) + _CHECKSUM
    if not data.startswith(MAGIC) or len(data) < start:
        return None
    body = data[start:]
    if blake2b(body, digest_size=_CHECKSUM).digest() != data[len(MAGIC) : start]:
        return None
    try:
        return to_set(pb.StreamPolicyResponse.FromString(body))
    except DecodeError:
        return None
