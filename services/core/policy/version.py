"""The content version of a policy: equal documents give an equal version on every machine.

It ignores store revisions and order, so that a worker can prove that it has
what the control plane has.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Any

from services.core.policy.documents import Document, key_of


def content_version(documents: Iterable[Document]) -> str:
    """The version of a set of documents, 32 hex digits."""
    lines = sorted(f"{key_of(d)}={document_digest(d)}" for d in documents)
    return blake2b("\n".join(lines).encode(), digest_size=16).hexdigest()


_KNOWN = 1 << 16
"""Documents whose digest is remembered."""
_digests: dict[int, tuple[Document, str]] = {}


def document_digest(document: Document) -> str:
    """The digest of one document, 32 hex digits.

    Remembered by identity: documents are immutable, and a policy of which one changed holds the others as they
    were. The entry keeps its document alive, so that no other one gets its identity.
    """
    known = _digests.get(id(document))
    if known is not None:
        return known[1]
    digest = blake2b(_canonical(document).encode(), digest_size=16).hexdigest()
    if len(_digests) >= _KNOWN:
        # Whole, and seldom: what is still in use is computed once more.
        _digests.clear()
    _digests[id(document)] = (document, digest)
    return digest


def _canonical(value: Any) -> str:
    """A text that is equal exactly for equal values.

    Fields at their default do not appear, so that a release that adds a field gives documents
    without it the version that they had: workers and control planes of both releases agree.
    """
    if dataclasses.is_dataclass(value):
        parts = ((f.name, getattr(value, f.name)) for f in dataclasses.fields(value) if not _is_default(f, value))
        inner = ",".join(f"{name}:{_canonical(v)}" for name, v in parts)
        return f"{type(value).__name__}{{{inner}}}"
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{k!r}:{_canonical(value[k])}" for k in sorted(value)) + "}"
    if isinstance(value, tuple):
        return "[" + ",".join(_canonical(v) for v in value) + "]"
    if isinstance(value, float):
        # Durations cross the wire as whole nanoseconds.
        return repr(round(value, 9))
    return repr(value)


def _is_default(field: dataclasses.Field[Any], value: Any) -> bool:
    default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
    return bool(getattr(value, field.name) == default)
