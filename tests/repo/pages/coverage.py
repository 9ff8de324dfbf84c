"""What becomes of every field that a caller may send, for every protocol: probed, not written by hand.

One request without the field and one with it go through reader and encoder; what
differs in the bodies and warnings tells what became of it. Dialects and protocols
are those of the registries.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from google.protobuf import json_format
from turnout.inference.v1 import chat_pb2

from services.core.errors import InvalidRequest
from services.core.policy.provider_types import PROVIDER_TYPES, base_url_of
from services.core.policy.rules import ClockRule
from services.core.policy.snapshot import CompiledProvider, Target
from services.core.routing.plan import Candidate
from services.dataplane.dialects.registry import DIALECTS, dialect_of
from services.dataplane.providers.registry import CODECS
from services.dataplane.translation import STREAM_HEADER, Untranslatable
from tests.repo.pages.coverage_probes import PROBES, SAME_REQUESTS, WITH, Probes
from tests.repo.pages.markdown import code, head, prose, table

CARRIED, IN_PART, TOLD, REFUSED, HERE = "yes", "partly", "dropped", "refused", "router"
LOST = "LOST"
"""Neither sent, nor told, nor refused, nor kept by the router: a bug, which a test finds."""

MODELS: Mapping[str, str] = {
    "openai": "gpt-4.1",
    "azure_openai": "gpt-4.1",
    "anthropic": "claude-sonnet-4-5",
    "vertex_claude": "claude-sonnet-4-5",
}
"""Model by protocol, where it matters which one it is."""
MORE_TYPES = ("openrouter",)
"""Provider types that take more than others of their protocol."""
BY_RESPONSES = "openai, api: responses"
"""The column of models that policy says are called by OpenAI's Responses API."""

INTRO = """
What becomes of a field when the model that answers is behind another protocol, or the same one. It is found out by
sending: each field goes through the reader of its dialect and the encoder of the protocol, and the two requests, with it
and without it, are compared.

**yes**: it reaches the provider, in the provider's words. **partly**: what has a counterpart reaches it, the rest is told
in `metadata.warnings`. **dropped**: left out, and told in `metadata.warnings`; the answer stays true without it.
**refused**: the answer would not be what was asked for, so the next target is tried; with none left, the caller is told
which field it was. **router**: the router itself acts on it. Nothing is ever left out silently; a test holds that.
"""


@dataclass(frozen=True)
class Column:
    """A target to probe."""

    name: str
    provider_type: str
    protocol: str
    api: str = ""


def columns() -> list[Column]:
    """One target per protocol that a codec speaks, and the provider types that take more."""
    found = []
    for protocol in dict.fromkeys(p for codec in CODECS for p in codec.protocols):
        rows = PROVIDER_TYPES.items()
        types = [name for name, row in rows if protocol in {row.protocol, *row.families.values()}]
        if types:
            found.append(Column(protocol, protocol if protocol in types else types[0], protocol))
    for name in MORE_TYPES:
        found.append(Column(name, name, PROVIDER_TYPES[name].protocol))
    return [*found, Column(BY_RESPONSES, "openai", "openai", "responses")]


@dataclass(frozen=True)
class Sent:
    """What a probe came to: a body and its warnings, or why there is none."""

    body: str = ""
    warnings: tuple[str, ...] = ()
    refused: str = ""


@cache
def _candidate(column: Column) -> Candidate:
    base_url = base_url_of(column.provider_type) or "https://llm.example.com/v1"
    provider = CompiledProvider("p", column.provider_type, base_url, protocol=column.protocol)
    return Candidate(Target("p/m", provider, MODELS.get(column.protocol, "some-model"), api=column.api), ClockRule())


def send(api: str, request: Mapping[str, Any], column: Column) -> Sent:
    """What the column's provider would be sent.

    Raises:
        InvalidRequest: The probe is not well formed.
    """
    headers = {STREAM_HEADER: "false"}
    if api == "typed":
        data = json_format.ParseDict(dict(request), chat_pb2.ChatRequest()).SerializeToString()
    else:
        data = json.dumps(request).encode()
    try:
        inbound = dialect_of(api).read(data, headers)
        translation = inbound.translate(_candidate(column))
        upstream = translation.request("key")
    except Untranslatable as refusal:
        return Sent(refused=refusal.failure.message)
    warnings = (*getattr(inbound.context, "warnings", ()), *translation.facts.warnings)
    body = json.dumps(json.loads(upstream.body), sort_keys=True)
    return Sent(f"{upstream.url} {body}", tuple(warnings))


def outcome(before: Sent, after: Sent, *, here: bool) -> str:
    """What became of what `after` has and `before` has not."""
    if after.refused:
        return REFUSED
    told = set(after.warnings) - set(before.warnings)
    if after.body != before.body:
        return IN_PART if told else CARRIED
    return TOLD if told else HERE if here else LOST


def probed(api: str, probes: Probes) -> Iterator[tuple[str, bool, list[str]]]:
    """Rows: what was probed, whether it is a field, and the outcome by column."""
    needs = WITH.get(SAME_REQUESTS.get(api, api), {})
    for name, value in probes.fields.items():
        base = {**probes.base, **needs.get(name, {})}
        changed = {**base, name: value}
        yield name, True, [_one(api, base, changed, c, here=name in probes.here) for c in columns()]
    for name, (without, having) in probes.parts.items():
        base, changed = {**probes.base, **without}, {**probes.base, **having}
        yield name, False, [_one(api, base, changed, c, here=False) for c in columns()]


def _one(api: str, base: Mapping[str, Any], changed: Mapping[str, Any], column: Column, *, here: bool) -> str:
    try:
        return outcome(send(api, base, column), send(api, changed, column), here=here)
    except InvalidRequest as error:
        raise AssertionError(f"{api} at {column.name}: {error}") from error


def page() -> str:
    """The page."""
    sections = [head("Coverage", "the readers and encoders, by probing"), prose(INTRO)]
    for dialect in DIALECTS:
        same = SAME_REQUESTS.get(dialect.api)
        if same is None:
            sections += _section(dialect.api, PROBES[dialect.api])
        else:
            sections.append(f"## {code(dialect.api)}\n\nIts requests are those of {code(same)}.\n")
    return "\n".join(sections)


def _section(api: str, probes: Probes) -> list[str]:
    rows = list(probed(api, probes))
    names = [c.name for c in columns()]
    fields = [[code(name), *outcomes] for name, is_field, outcomes in rows if is_field]
    parts = [[name, *outcomes] for name, is_field, outcomes in rows if not is_field]
    kept = [[code(name), told] for name, told in sorted(probes.here.items())]
    return [
        f"## {code(api)}\n\n{probes.title}.\n",
        "### Fields\n",
        table(["field", *names], fields),
        "### What messages hold\n",
        table(["", *names], parts),
        "### What the router acts on\n",
        table(["field", "how"], kept),
    ]
