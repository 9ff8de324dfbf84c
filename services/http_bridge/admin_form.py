"""Bodies of the admin API: JSON and YAML as messages, and messages as JSON with documents as in policy files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from turnout.policy.v1.policy_pb2 import Resource, ResourceName

from services.core.errors import InvalidRequest, PolicyRejected
from services.http_bridge.control import json_body
from services.http_bridge.http import Request
from services.wire.document_form import read_form, read_yaml, to_form


def resource_form(resource: Resource) -> dict[str, Any]:
    """A document as in policy files, with its etag."""
    return {**to_form(resource), "etag": resource.etag}


def message_form(message: Message) -> dict[str, Any]:
    """A message as JSON, with documents in the form of policy files."""
    found: dict[str, Any] = {}
    for field, value in message.ListFields():
        if field.message_type is None:
            found[field.name] = list(value) if field.is_repeated else value
        elif field.is_repeated:
            found[field.name] = [_value(v) for v in value]
        else:
            found[field.name] = _value(value)
        if field.enum_type is not None:
            found[field.name] = field.enum_type.values_by_number[value].name
    return found


def _value(message: Message) -> Any:
    if isinstance(message, Resource):
        return resource_form(message) if message.WhichOneof("document") is not None else {"etag": message.etag}
    if isinstance(message, ResourceName):
        return f"{message.kind}/{message.name}"
    if message.DESCRIPTOR.file.package.startswith("google.protobuf"):
        return MessageToDict(message, preserving_proto_field_name=True)
    return message_form(message)


def document_set(request: Request) -> Mapping[str, Any]:
    """The body of a request that brings documents: JSON {"resources": […]}, a list of them, or YAML."""
    if "yaml" in request.headers.get("content-type", ""):
        try:
            text = request.body.decode()
        except UnicodeDecodeError as error:
            raise InvalidRequest("the request's body is not UTF-8") from error
        resources, problems = read_yaml(text)
        if any(not p.warning for p in problems):
            raise PolicyRejected(problems)
        return {"resources": resources}
    body = json_body(request)
    return {"resources": body} if isinstance(body, list) else object_of(body)


def object_of(body: Any) -> Mapping[str, Any]:
    """A JSON object.

    Raises:
        InvalidRequest: It is something else.
    """
    if not isinstance(body, dict):
        raise InvalidRequest("expected a JSON object")
    return body


def resources_of(body: Mapping[str, Any], *, required: bool = True) -> list[Resource]:
    """The documents of a body.

    Raises:
        InvalidRequest: They are no list.
        PolicyRejected: One is no document; every problem of it is listed.
    """
    forms = body.get("resources")
    if forms is None and (not required or body.get("delete")):
        return []
    if not isinstance(forms, list):
        raise InvalidRequest("`resources` must be a list of documents", param="resources")
    return [form if isinstance(form, Resource) else resource_of(form) for form in forms]


def resource_of(form: Any) -> Resource:
    """One document.

    Raises:
        PolicyRejected: It is none.
    """
    etag = ""
    if isinstance(form, dict) and "etag" in form:
        etag = str(form["etag"])
        form = {key: value for key, value in form.items() if key != "etag"}
    resource, problems = read_form(form)
    if resource is None:
        raise PolicyRejected(problems)
    resource.etag = etag
    return resource


def name_of(text: Any, param: str) -> ResourceName:
    """The name of a document, Kind/name.

    Raises:
        InvalidRequest: It is none.
    """
    kind, slash, name = text.partition("/") if isinstance(text, str) else ("", "", "")
    if not slash or not name:
        raise InvalidRequest(f"`{param}`: expected Kind/name, such as Router/user-aware", param=param)
    return ResourceName(kind=kind, name=name)


def names_of(body: Mapping[str, Any], param: str) -> list[ResourceName]:
    """A list of names of documents."""
    return [name_of(text, param) for text in strings_of(body, param)]


def strings_of(body: Mapping[str, Any], param: str) -> list[str]:
    """A list of text; empty when it is not there.

    Raises:
        InvalidRequest: It is something else.
    """
    values = body.get(param) or []
    if not isinstance(values, list) or not all(isinstance(v, str) for v in values):
        raise InvalidRequest(f"`{param}` must be a list of text", param=param)
    return values


def text_of(body: Mapping[str, Any], param: str) -> str:
    """Text; empty when it is not there.

    Raises:
        InvalidRequest: It is something else.
    """
    value = body.get(param)
    if value is None or isinstance(value, str):
        return value or ""
    raise InvalidRequest(f"`{param}` must be text", param=param)


def flag_of(body: Mapping[str, Any], param: str) -> bool:
    """A flag; False when it is not there.

    Raises:
        InvalidRequest: It is something else.
    """
    value = body.get(param, False)
    if isinstance(value, bool):
        return value
    raise InvalidRequest(f"`{param}` must be true or false", param=param)


def number_of(value: Any, param: str) -> int:
    """A revision.

    Raises:
        InvalidRequest: It is none.
    """
    text = str(value)
    if not text.isdecimal() or len(text) > 18:
        raise InvalidRequest(f"`{param}` must be a revision", param=param)
    return int(text)
