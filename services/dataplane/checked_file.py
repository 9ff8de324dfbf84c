"""A file that is whole or not used: a magic word, a checksum, then its content; and the one before it in reserve.

Writes go to a new file that replaces the old one whole; a file that is cut or flipped is left alone and the one before it
is used.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path

log = logging.getLogger(__name__)

_CHECKSUM = 32


class CheckedFile:
    """One file and the one before it; `magic` says what it is, and in which form."""

    def __init__(self, path: Path, magic: bytes) -> None:
        self._path = path
        self._previous = path.with_name(path.name + ".previous")
        self._magic = magic
        self.corrupt = 0

    def load(self) -> Iterator[tuple[Path, bytes]]:
        """The contents on disk whose checksum is right, newest first."""
        for path in (self._path, self._previous):
            try:
                data = path.read_bytes()
            except FileNotFoundError:
                continue
            except OSError as error:
                log.warning("cannot read %s: %s", path, error.strerror)
                continue
            body = self._unpack(data)
            if body is None:
                self.damaged(path)
            else:
                yield path, body

    def damaged(self, path: Path) -> None:
        """Note that what is in `path` cannot be used."""
        self.corrupt += 1
        log.warning("%s is damaged; it is left out", path)

    def save(self, body: bytes) -> None:
        """Write `body`; the file that was there becomes the previous one.

        Raises:
            OSError: The disk is full or read-only; the old files are still good.
        """
        data = self._magic + blake2b(body, digest_size=_CHECKSUM).digest() + body
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._path.with_name(self._path.name + ".new")
        with fresh.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if self._path.exists():
            self._path.replace(self._previous)
        fresh.replace(self._path)

    def _unpack(self, data: bytes) -> bytes | None:
        """The content of a file's bytes; None when they are damaged."""
        start = len(self._magic) + _CHECKSUM
        if not data.startswith(self._magic) or len(data) < start:
            return None
        body = data[start:]
        return body if blake2b(body, digest_size=_CHECKSUM).digest() == data[len(self._magic) : start] else None
