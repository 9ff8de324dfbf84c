"""Values that are made several times per request.

A dataclass is built, and a frozen one copied by `replace`, one slow assignment per field; these cost a
tenth of that and are the same otherwise: immutable if they say so, compared by value, shown by field. msgspec is
here for its structs alone: the core encodes and decodes nothing.
"""

from __future__ import annotations

import msgspec

field = msgspec.field
changed = msgspec.structs.replace
"""A copy of a value with some fields changed."""


class Tally(msgspec.Struct):
    """Base of sums that grow in place: what is counted for every observation, and read when there are enough."""


class Value(msgspec.Struct, frozen=True):
    """Base of a frozen value; the class says `frozen=True` itself, for type checkers."""


class MutableValue(msgspec.Struct):
    """Base of a value that is filled in while a request runs. Like the frozen ones, it is compared by value."""
