"""Credentials of providers: references of policy become secrets here, and nowhere else.

`env:NAME` is read from the environment; `file:/path` from a file, such as a
mounted Kubernetes Secret, and read anew when the file changes; those that a vendor's
library makes are kept by `tokens.py`. A secret never leaves through a repr, a log or
an error; policy and records name the reference.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from services.core.errors import Failure, FailureKind
from services.core.policy.snapshot import Snapshot
from services.dataplane.tokens import Failing, Tokens

_CHECK_SECONDS = 5.0
"""How long a file's secret is used before the file is looked at again."""

_TELLING = 8
"""From how many characters on a secret is looked for; a local server's "x" is none, and is in every text."""


def hide(failure: Failure, secret: str, reference: str) -> Failure:
    """`failure` with `secret` told by its reference: some providers quote the key that they refuse, or a part of it."""
    for part in {secret, *secret.split(":")}:
        if len(part) >= _TELLING:
            failure = replace(
                failure,
                message=failure.message.replace(part, reference),
                code=failure.code.replace(part, reference),
                body=failure.body.replace(part.encode(), reference.encode()),
            )
    return failure


@dataclass(slots=True, repr=False)
class _FileSecret:
    value: str
    stamp: tuple[int, int]
    checked: float


class Credentials:
    """Resolves credential references, with a small cache for files.

    Args:
        environment: Where `env:` references are looked up.
        now: Monotonic seconds.
        tokens: Keeps the secrets that vendors' libraries make; None: there are none.
    """

    def __init__(
        self,
        now: Callable[[], float],
        environment: Mapping[str, str] | None = None,
        tokens: Tokens | None = None,
    ) -> None:
        self._environment = os.environ if environment is None else environment
        self._now = now
        self._files: dict[str, _FileSecret] = {}
        self._tokens = tokens

    def prepare(self, snapshot: Snapshot) -> None:
        """Have the secrets made that a policy names which is now in force, before a request needs them."""
        if self._tokens is not None:
            addresses = (address for provider in snapshot.providers.values() for address in provider.addresses)
            self._tokens.keep({reference for address in addresses for reference in address.credentials})

    def secret(self, reference: str) -> str | None:
        """The secret that `reference` names; None when it names nothing, or nothing but white space."""
        kind, _, name = reference.partition(":")
        if kind == "env":
            return self._environment.get(name, "").strip() or None
        if kind == "file":
            return self._from_file(name)
        return self._tokens.secret(reference) if self._tokens is not None else None

    async def first(self, reference: str, seconds: float) -> str | None:
        """The secret that `reference` names, after up to `seconds` of waiting when it is being made the first time."""
        if self._tokens is None:
            return None
        return await self._tokens.first(reference, seconds)

    def missing(self, reference: str) -> Failure:
        """The failure of an attempt whose reference names nothing."""
        why = self._tokens.why(reference) if self._tokens is not None else ""
        told = f"the credential {reference!r} names nothing on this worker"
        return Failure(FailureKind.CREDENTIAL_MISSING, f"{told}: {why}" if why else told)

    def failing(self) -> Mapping[str, Failing]:
        """The references in force whose secrets cannot be made now."""
        return self._tokens.failing() if self._tokens is not None else {}

    async def close(self) -> None:
        """Renew nothing any more."""
        if self._tokens is not None:
            await self._tokens.close()

    def _from_file(self, name: str) -> str | None:
        known = self._files.get(name)
        now = self._now()
        if known is not None and now - known.checked < _CHECK_SECONDS:
            return known.value or None
        path = Path(name)
        try:
            status = path.stat()
            stamp = (status.st_mtime_ns, status.st_ino)
            if known is not None and known.stamp == stamp:
                known.checked = now
                return known.value or None
            value = path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            # A Secret is swapped by renaming; for an instant it may be gone. The last value stays good.
            return known.value or None if known is not None else None
        self._files[name] = _FileSecret(value, stamp, now)
        return value or None
