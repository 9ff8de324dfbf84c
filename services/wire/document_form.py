"""The YAML and JSON form of policy documents.

Walks the proto descriptors over plain values, so that it knows exactly the fields of the
protos: reads camelCase and snake_case, durations as "300ms", and reports everything that is
wrong at once, each with its path. Inworld-shaped REST reads leniently: unknown fields are
warnings there, and errors in files.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from turnout.policy.v1.policy_pb2 import Resource

from services.core.errors import Problem
from services.core.policy.durations import format_duration, parse_duration
from services.wire.policy import KIND_OF_ONEOF, ONEOF_OF_KIND, key_of_resource

_INTEGERS = {FieldDescriptor.CPPTYPE_INT32: 32, FieldDescriptor.CPPTYPE_INT64: 64}
_MAX_DEPTH = 32
_ONE_WORD = {"turnout.policy.v1.SortRule": "metric"}
"""Messages of which one word is enough, and the field that it stands for."""
_LOST: Mapping[str, str] = {"compression": "dropped: no provider compresses prompts"}
"""Fields of Inworld's that are known, and have no effect here; told where unknown ones are no errors."""
_LONGEST_TOLD = 16


@dataclass(slots=True)
class _Reader:
    """One document being read: where it is, and what is wrong so far."""

    kind: str
    name: str
    lenient: bool
    problems: list[Problem] = field(default_factory=list)

    def wrong(self, path: str, message: str, *, warning: bool = False) -> None:
        self.problems.append(Problem(self.kind, self.name, path, message, warning=warning))


def read_form(form: Any, *, kind: str = "", lenient: bool = False) -> tuple[Resource | None, list[Problem]]:
    """One document from plain values, and everything that is wrong with it.

    Args:
        kind: Kind of the document when the form has no `kind:` of its own.
        lenient: Unknown fields are warnings.

    Returns:
        The resource, None when it cannot be built; problems with `warning` set do not prevent it.
    """
    if not isinstance(form, Mapping):
        return None, [Problem(kind, "", "", f"expected a mapping with `kind:` and `name:`, got {_told(form)}")]
    values = dict(form)
    given = values.pop("kind", kind)
    etag = values.pop("etag", "")
    name = values.get("name")
    reader = _Reader(str(given or "?"), name if isinstance(name, str) else "", lenient)
    if given not in ONEOF_OF_KIND:
        reader.wrong("kind", f"expected one of {', '.join(ONEOF_OF_KIND)}{_meant(str(given), ONEOF_OF_KIND)}")
        return None, reader.problems
    resource = Resource(etag=str(etag or ""))
    target: Message = getattr(resource, ONEOF_OF_KIND[given])
    target.SetInParent()
    _read_message(reader, target, values, "", 0)
    failed = any(not p.warning for p in reader.problems)
    return (None if failed else resource), reader.problems


def _read_message(reader: _Reader, message: Message, values: Mapping[Any, Any], path: str, depth: int) -> None:
    known = _fields_of(message.DESCRIPTOR)
    seen: dict[str, str] = {}
    for raw, value in values.items():
        where = f"{path}.{raw}" if path else str(raw)
        found = known.get(str(raw))
        if found is None:
            meant = "" if reader.lenient else _meant(str(raw), known)
            told = _LOST.get(str(raw)) if reader.lenient else None
            reader.wrong(where, told or f"unknown field{meant}", warning=reader.lenient)
        elif found.name in seen:
            reader.wrong(where, f"given twice, as {seen[found.name]!r} and {str(raw)!r}")
        elif depth > _MAX_DEPTH:
            reader.wrong(where, "nested too deeply")
        else:
            seen[found.name] = str(raw)
            if value is not None:
                _read_field(reader, message, found, value, where, depth)


def _read_field(reader: _Reader, message: Message, target: FieldDescriptor, value: Any, path: str, depth: int) -> None:
    if _is_map(target):
        if not isinstance(value, Mapping):
            reader.wrong(path, f"expected a mapping, got {_told(value)}")
            return
        for key, item in value.items():
            if isinstance(item, (str, int, float)) and not isinstance(item, bool):
                getattr(message, target.name)[str(key)] = str(item)
            else:
                reader.wrong(f"{path}.{key}", f"expected text, got {_told(item)}")
    elif target.is_repeated:
        if isinstance(value, (str, Mapping)) or not isinstance(value, Sequence):
            reader.wrong(path, f"expected a list, got {_told(value)}")
            return
        for index, item in enumerate(value):
            _read_item(reader, message, target, item, f"{path}[{index}]", depth)
    elif target.message_type is not None:
        _read_child(reader, getattr(message, target.name), value, path, depth)
    else:
        read = _read_scalar(reader, target, value, path)
        if read is not None:
            setattr(message, target.name, read)


def _read_item(reader: _Reader, message: Message, target: FieldDescriptor, item: Any, path: str, depth: int) -> None:
    if target.message_type is not None:
        _read_child(reader, getattr(message, target.name).add(), item, path, depth)
        return
    read = _read_scalar(reader, target, item, path)
    if read is not None:
        getattr(message, target.name).append(read)


def _read_child(reader: _Reader, child: Message, value: Any, path: str, depth: int) -> None:
    child.SetInParent()
    if isinstance(child, Duration):
        seconds = parse_duration(value) if isinstance(value, str) else None
        if seconds is None:
            reader.wrong(path, f'expected a duration such as "300ms", "10s" or "2m", got {_told(value)}')
            return
        nanos = round(seconds * 1e9)
        child.seconds, child.nanos = divmod(nanos, 10**9)
    elif isinstance(value, Mapping):
        _read_message(reader, child, value, path, depth + 1)
    elif isinstance(value, str) and child.DESCRIPTOR.full_name in _ONE_WORD:
        setattr(child, _ONE_WORD[child.DESCRIPTOR.full_name], value)
    else:
        reader.wrong(path, f"expected a mapping, got {_told(value)}")


def _read_scalar(reader: _Reader, target: FieldDescriptor, value: Any, path: str) -> Any:
    """The value for a scalar field; None when it is wrong, which is noted."""
    kind = target.cpp_type
    if kind == FieldDescriptor.CPPTYPE_STRING:
        if isinstance(value, str):
            return value
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return str(value)
        expected = "text"
    elif kind == FieldDescriptor.CPPTYPE_BOOL:
        if isinstance(value, bool):
            return value
        expected = "true or false"
    elif kind in _INTEGERS:
        whole = _whole(value)
        if whole is not None and abs(whole) < 1 << (_INTEGERS[kind] - 1):
            return whole
        expected = "an integer"
    else:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return float(value)
        expected = "a number"
    reader.wrong(path, f"expected {expected}, got {_told(value)}")
    return None


def _whole(value: Any) -> int | None:
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,19}", value):
        return int(value)  # JSON writes 64-bit numbers as text
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and value == int(value):
        return int(value)
    return None


def _told(value: Any) -> str:
    """`value` in an error message, but never a text that is long enough to be a secret."""
    if value is None:
        return "nothing"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, (list, tuple)):
        return "a list"
    text = str(value)
    return repr(value) if len(text) <= _LONGEST_TOLD else f"a value of {len(text)} characters"


def _meant(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _fields_of(descriptor: Any) -> dict[str, FieldDescriptor]:
    """Fields by both spellings; the proto's own spelling comes first, for suggestions."""
    fields = {f.name: f for f in descriptor.fields}
    fields.update({f.json_name: f for f in descriptor.fields})
    return fields


def _is_map(target: FieldDescriptor) -> bool:
    return target.message_type is not None and target.message_type.GetOptions().map_entry


class _StrictLoader(yaml.SafeLoader):
    """YAML without duplicate keys: the second one would silently win."""


def _no_duplicates(loader: _StrictLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        key = key_node.value
        if key in seen:
            raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is given twice", key_node.start_mark)
        seen.add(key)
    return loader.construct_mapping(node, deep=True)


_StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _no_duplicates)


def read_yaml(text: str) -> tuple[list[Resource], list[Problem]]:
    """All documents of a YAML (or JSON) text, and everything that is wrong with them."""
    resources: list[Resource] = []
    problems: list[Problem] = []
    try:
        # The loader is a SafeLoader; it makes plain values only.
        forms = list(yaml.load_all(text, Loader=_StrictLoader))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
        told = str(getattr(error, "problem", None) or error)
        return [], [Problem("YAML", where or "?", "", told)]
    for form in _flattened(forms):
        resource, wrong = read_form(form)
        problems.extend(wrong)
        if resource is not None:
            resources.append(resource)
    seen: dict[Any, int] = {}
    for resource in resources:
        key = key_of_resource(resource)
        seen[key] = seen.get(key, 0) + 1
    problems.extend(Problem(key.kind, key.name, "", f"given {count} times") for key, count in seen.items() if count > 1)
    return resources, problems


def _flattened(forms: list[Any]) -> Iterable[Any]:
    for form in forms:
        if isinstance(form, list):
            yield from form
        elif form is not None:
            yield form


def to_form(resource: Resource, *, camel: bool = False) -> dict[str, Any]:
    """The plain form of a document: `kind`, `name`, then what is set."""
    kind = KIND_OF_ONEOF[str(resource.WhichOneof("document"))]
    body = message_form(getattr(resource, ONEOF_OF_KIND[kind]), camel=camel)
    return {"kind": kind, "name": body.pop("name", ""), **body}


def message_form(message: Message, *, camel: bool = False) -> dict[str, Any]:
    """The plain form of a message: only what is set, durations as text."""
    form: dict[str, Any] = {}
    for target, value in message.ListFields():
        name = target.json_name if camel else target.name
        if _is_map(target):
            form[name] = dict(value)
        elif target.is_repeated:
            form[name] = [message_form(v, camel=camel) if target.message_type else v for v in value]
        elif isinstance(value, Duration):
            form[name] = format_duration(value.seconds + value.nanos / 1e9)
        elif target.message_type is not None:
            form[name] = message_form(value, camel=camel)
        else:
            form[name] = value
    return form


def to_yaml(resources: Iterable[Resource]) -> str:
    """Documents as one YAML text."""
    forms = (to_form(r) for r in resources)
    return "---\n".join(yaml.safe_dump(f, sort_keys=False, allow_unicode=True) for f in forms)
