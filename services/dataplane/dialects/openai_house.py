"""House fields of OpenAI-style bodies on their way to a provider of the same protocol.

Inworld's and OpenRouter's words for searches, reasoning, prompt caches and compression, which most providers
refuse: they become what the target has for them, or are taken out with a warning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

import msgspec

from services.core.policy.documents import TextGenerationConfig
from services.core.policy.provider_types import quirks_of
from services.core.policy.snapshot import Target
from services.core.policy.vendors import Quirks
from services.dataplane.dialects.read_search import SEARCHES, read_search
from services.dataplane.members import Members, NotAnObject, decoded, join_members, raw, search_for, split_members
from services.dataplane.providers.openai_search import search_members

_SEARCHES = frozenset(SEARCHES)
NO_COMPRESSION = "compression was dropped: no provider compresses prompts"
COMPRESSION: Mapping[str, str] = {"compression": NO_COMPRESSION}
NO_MARKS = "cache_control was dropped: this provider takes no such field"
NO_REASONING = "reasoning of earlier turns was dropped: this provider takes none of it"
_MARK = "cache_control"
_ECHOES = ("reasoning", "reasoning_content", "reasoning_details", "extra_content")
"""What answers of other providers held, and callers send back."""
_list_of_raw = msgspec.json.Decoder(list[msgspec.Raw]).decode


def put_search(
    body: dict[str, msgspec.Raw], members: Members, extra: Mapping[str, Any], target: Target, warnings: list[str]
) -> None:
    """A wish for a search in the target's form. One that is in it already keeps its bytes.

    Args:
        extra: The caller's `extra_body`, whose wish comes first.

    Raises:
        InvalidRequest: The wish is not well formed.
        Untranslatable: The target has no search.
    """
    if _SEARCHES.isdisjoint(members) and _SEARCHES.isdisjoint(extra):
        return
    inner = {name: extra[name] for name in SEARCHES if extra.get(name) is not None}
    outer = [name for name in SEARCHES if bytes(members.get(name, b"null")) not in {b"null", b"false"}]
    quirks = quirks_of(target.provider.type)
    if not inner and outer in ([], [quirks.search]):
        for name in SEARCHES:
            if name in members and name not in outer:
                body.pop(name, None)
        if "plugins" in outer:
            body["plugins"] = members["plugins"]
        return
    search = read_search({**decoded(members, outer), **inner}, warnings)
    for name in SEARCHES:
        body.pop(name, None)
    if search is not None:
        found = search_members(search, quirks, target.upstream_model, warnings)
        body.update({name: raw(value) for name, value in found.items()})


def put_reasoning(
    body: dict[str, msgspec.Raw], reasoning: Mapping[str, Any], config: TextGenerationConfig | None
) -> None:
    """The object `reasoning` for a service that knows it, with what policy sets in it."""
    found = dict(reasoning)
    policy = config.reasoning if config is not None else None
    if policy is not None:
        if policy.effort not in {"", "unspecified"}:
            found.pop("max_tokens", None)
            found["effort"] = policy.effort
        if policy.max_tokens is not None:
            found.pop("effort", None)
            found["max_tokens"] = policy.max_tokens
        if policy.exclude is not None:
            found["exclude"] = policy.exclude
    if not found:
        return
    effort = body.pop("reasoning_effort", None)
    if effort is not None and not found.keys() & {"effort", "max_tokens", "enabled"}:
        found["effort"] = effort
    body["reasoning"] = raw(found)


def clean(body: dict[str, msgspec.Raw], names: Iterable[str], quirks: Quirks, warnings: list[str]) -> None:
    """Take out of the lists that are `names` what the target refuses, and what no provider knows."""
    if quirks.openai_models and body.pop(_MARK, None) is not None:
        _tell(NO_MARKS, warnings)
    take_out(body, names, _unwanted(openai_models=quirks.openai_models, strict=quirks.strict), warnings)


@cache
def _unwanted(*, openai_models: bool, strict: bool) -> Mapping[str, str]:
    """Members that a kind of target refuses, each with the warning about it."""
    marks = {_MARK: NO_MARKS} if openai_models else {}
    return {**COMPRESSION, **marks, **(dict.fromkeys(_ECHOES, NO_REASONING) if strict else {})}


def take_out(
    body: dict[str, msgspec.Raw], names: Iterable[str], unwanted: Mapping[str, str], warnings: list[str]
) -> None:
    """Take members out of the objects in the lists that are `names` in a body; what stays keeps its bytes.

    Args:
        unwanted: Names of the members, and what is told of each.
    """
    for name in names:
        given = body.get(name)
        if given is not None and _search_for(tuple(unwanted))(bytes(given)):
            body[name] = _each(bytes(given), unwanted, warnings)


@cache
def _search_for(members: tuple[str, ...]) -> Callable[[bytes], object]:
    """The search for members that a kind of target refuses; there are a handful of such sets."""
    return search_for(members)


def _each(data: bytes, unwanted: Mapping[str, str], warnings: list[str]) -> msgspec.Raw:
    try:
        items = _list_of_raw(data)
    except msgspec.DecodeError:
        return msgspec.Raw(data)  # the provider says what is wrong with it
    return msgspec.Raw(b"[" + b",".join(_one(bytes(item), unwanted, warnings) for item in items) + b"]")


def _one(data: bytes, unwanted: Mapping[str, str], warnings: list[str]) -> bytes:
    """A message, part, call or tool without the unwanted members; the others keep their bytes."""
    try:
        members = split_members(data)
    except NotAnObject:
        return data
    for name, told in unwanted.items():
        if members.pop(name, None) is not None:
            _tell(told, warnings)
    for name in ("content", "tool_calls"):
        inner = bytes(members.get(name, b""))
        if inner.startswith(b"["):
            members[name] = _each(inner, unwanted, warnings)
    return join_members(members)


def _tell(line: str, warnings: list[str]) -> None:
    if line not in warnings:
        warnings.append(line)
