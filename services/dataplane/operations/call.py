"""A request for an operation, as its dialect read it: what the codecs of all providers begin with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from services.core.errors import InvalidRequest
from services.dataplane.members import Members, decoded, join_members, raw
from services.dataplane.operations.forms import Form
from services.dataplane.translation import JSON
from services.wire.chat_facts import FACT_FIELDS, ROUTING_FIELDS

_OURS = frozenset({*ROUTING_FIELDS, "extra_body", "metadata", "session_id"})
"""Fields for routing; no provider gets them."""


@dataclass(frozen=True, slots=True)
class StreamedEvents:
    """What the server-sent events of an operation's stream mean, by their `type`.

    Attributes:
        content: Those that show the caller something.
        last: The one that says: this is all. It carries usage.
        last_shows: It carries content, too.
    """

    content: frozenset[str]
    last: str
    last_shows: bool = True


@dataclass(frozen=True, slots=True)
class Operation:
    """An inbound API that is not chat.

    Attributes:
        api: Name in records.
        path: Path at OpenAI, behind the base URL.
        required: Fields without which a request is refused; of several in one text ("a|b") one is enough.
        result: Member that an answer must have.
        default_model: Model of a request that names none, where the API has a default; empty: it must name one.
        form: Requests are forms; with `json_too`, JSON as well.
        names_model: Answers name the model.
        may_be_empty: An answer may hold nothing: silence has no words.
        patience: Seconds that a stream may be silent, at its begin or later, where no policy says how long; 0.0: as
            long as chat.
    """

    api: str
    path: str
    required: tuple[str, ...]
    result: str
    default_model: str = ""
    form: bool = False
    json_too: bool = False
    names_model: bool = False
    may_be_empty: bool = False
    patience: float = 0.0
    events: StreamedEvents | None = None


class JsonPayload:
    """A JSON body, by its members."""

    content_type = JSON

    def __init__(self, members: Members) -> None:
        self.members = members
        self._values: dict[str, Any] = {}

    def has(self, name: str) -> bool:
        """Whether the field is there and not null."""
        value = self.members.get(name)
        return value is not None and bytes(value) != b"null"

    def facts(self) -> Mapping[str, Any]:
        """The fields that routing reads."""
        return decoded(self.members, FACT_FIELDS)

    def names(self) -> Iterable[str]:
        """Names of all fields."""
        return self.members

    def value(self, name: str) -> Any:
        """A field; None: it is not there. Decoded when it is asked for, once."""
        if name not in self._values:
            self._values.update(decoded(self.members, (name,)))
        return self._values.get(name)

    def values(self) -> Mapping[str, Any]:
        """All fields."""
        return {name: self.value(name) for name in self.members}

    def rewritten(self, model: str, dropped: Iterable[str], renamed: Mapping[str, str]) -> bytes:
        """The body for `model`: members byte for byte, but for what is dropped or renamed."""
        left_out = _OURS | frozenset(dropped)
        body = {renamed.get(name, name): value for name, value in self.members.items() if name not in left_out}
        body["model"] = raw(model)
        return join_members(body)


class FormPayload:
    """A form."""

    def __init__(self, form: Form) -> None:
        self.form = form
        self.content_type = form.content_type
        self._values: dict[str, Any] | None = None
        self._last: tuple[Any, bytes] = (None, b"")

    def has(self, name: str) -> bool:
        """Whether there is such a field or file."""
        return self.form.has(name)

    def facts(self) -> Mapping[str, Any]:
        """The fields that routing reads."""
        return {name: value for name, value in self.values().items() if name in FACT_FIELDS}

    def names(self) -> Iterable[str]:
        """Names of all fields that are no files."""
        return self.values()

    def value(self, name: str) -> Any:
        """A field; None: it is not there."""
        return self.values().get(name)

    def values(self) -> Mapping[str, Any]:
        """All fields that are no files, as text, lists and objects of text."""
        if self._values is None:
            self._values = self.form.fields()
        return self._values

    def rewritten(
        self, model: str, dropped: Iterable[str], renamed: Mapping[str, str], *, files_last: bool = False
    ) -> bytes:
        """The form for `model`. Files are copied once for all attempts at a model."""
        left_out = _OURS | frozenset(dropped)
        wanted = (model, left_out, tuple(renamed.items()), files_last)
        if self._last[0] != wanted:
            body = self.form.rewritten(model, lambda name: name in left_out, renamed, files_last=files_last)
            self._last = (wanted, body)
        return self._last[1]


Payload = JsonPayload | FormPayload


@dataclass(slots=True)
class OperationCall:
    """One request.

    Attributes:
        headers: Inbound headers by lower-case name.
        warnings: What was dropped for every provider.
    """

    operation: Operation
    payload: Payload
    headers: Mapping[str, str] = field(repr=False)
    stream: bool = False
    warnings: tuple[str, ...] = ()

    def value(self, name: str) -> Any:
        """A field; None: it is not there."""
        return self.payload.value(name)

    def text(self, name: str) -> str:
        """A field that is text; empty: it is not there.

        Raises:
            InvalidRequest: It is something else.
        """
        value = self.value(name)
        if value is None or isinstance(value, str):
            return value or ""
        raise InvalidRequest(f"`{name}` must be text", param=name)

    def dropped(self, *known: str) -> list[str]:
        """A warning for each field that a codec does not know."""
        left = [name for name in self.payload.names() if name not in _OURS and name not in {"model", *known}]
        return [f"{name} was dropped: it has no translation" for name in left]
