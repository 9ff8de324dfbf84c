"""What a policy lays over a caller's Responses body: the model, parameters, templates, reasoning."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from services.core.numbers import is_whole
from services.core.policy.documents import TextGenerationConfig
from services.core.policy.provider_types import quirks_of
from services.core.routing.plan import Candidate
from services.dataplane.dialects.openai_house import COMPRESSION, take_out
from services.dataplane.dialects.read_search import SEARCHES, read_search, searches_of
from services.dataplane.dialects.templates import fill
from services.dataplane.members import Members, decoded, join_members, placed_before, raw
from services.dataplane.proofs import is_sealed
from services.dataplane.providers.openai_encode import effort_of
from services.dataplane.providers.openai_fit import fit_sampling
from services.dataplane.providers.responses_encode import search_tool
from services.dataplane.translation import Untranslatable
from services.wire.chat_facts import ROUTING_FIELDS

_SUMMARIES = ("summary", "generate_summary")
_DROPPED = frozenset((*ROUTING_FIELDS, *SEARCHES, "extra_body"))
_SEARCHING = {"xai", "openrouter"}
"""Provider types whose models search the web by the same tool as OpenAI's."""
_SEALED = re.compile(rb'"encrypted_content"\s*:\s*"turnout:')


def upstream_body(
    members: Members, candidate: Candidate, reasoning: Mapping[str, Any], metadata: Mapping[str, Any]
) -> tuple[bytes, list[str]]:
    """The body for `candidate`, and what was dropped on the way.

    The caller's members stay byte for byte, but for routing fields and what policy sets.

    Args:
        reasoning: The caller's `reasoning` object, wherever it stood; empty when there is none.
        metadata: The request's metadata, for templates.

    Raises:
        Untranslatable: The target refuses what the answer depends on.
    """
    warnings: list[str] = []
    body: dict[str, msgspec.Raw] = {name: value for name, value in members.items() if name not in _DROPPED}
    body["model"] = raw(candidate.target.upstream_model)
    _keep_metadata(body, warnings)
    _put_reasoning(body, reasoning, candidate, warnings)
    _put_search(body, members, candidate, warnings)
    take_out(body, ("input",), COMPRESSION, warnings)
    if _SEALED.search(bytes(body.get("input", b""))):
        _drop_foreign(body, warnings)
    if candidate.generation is not None:
        _lay_over(body, candidate.generation, warnings)
    if candidate.templates:
        _place_templates(body, candidate, metadata)
    warnings += fit_sampling(body, candidate.target, _effort(body))
    return join_members(body), warnings


def _keep_metadata(body: dict[str, msgspec.Raw], warnings: list[str]) -> None:
    """The API's own metadata is text by key; whatever else there is serves routing, and providers refuse it."""
    given = msgspec.json.decode(body["metadata"]) if "metadata" in body else None
    if not isinstance(given, dict) or all(isinstance(value, str) for value in given.values()):
        return
    kept = {name: value for name, value in given.items() if isinstance(value, str)}
    body["metadata"] = raw(kept)
    warnings.append("metadata that is not text was not passed on: the provider takes text only")


def _put_reasoning(
    body: dict[str, msgspec.Raw], reasoning: Mapping[str, Any], candidate: Candidate, warnings: list[str]
) -> None:
    """Reasoning as the API spells it; a budget of tokens, which it has not, becomes an effort."""
    own = {name: value for name, value in reasoning.items() if name not in {"max_tokens", "exclude", "enabled"}}
    budget = reasoning.get("max_tokens")
    if not own.get("effort") and is_whole(budget):
        own["effort"] = effort_of(budget)
    config = candidate.generation.reasoning if candidate.generation is not None else None
    excluded = config.exclude if config is not None and config.exclude is not None else reasoning.get("exclude")
    if excluded is True:
        # OpenAI's models show a summary only if they are asked for one.
        own = {name: value for name, value in own.items() if name not in _SUMMARIES}
        if not quirks_of(candidate.target.provider.type).openai_models:
            warnings.append("reasoning.exclude was dropped: this provider's reasoning is shown as it comes")
    if reasoning and own != (msgspec.json.decode(body["reasoning"]) if "reasoning" in body else None):
        body["reasoning"] = raw(own)
    if not own:
        body.pop("reasoning", None)


def _put_search(body: dict[str, msgspec.Raw], members: Members, candidate: Candidate, warnings: list[str]) -> None:
    """A search that OpenRouter's and Inworld's clients ask for, as the tool that it is here."""
    asked = decoded(members, ("extra_body", *SEARCHES))
    wanted = read_search({**asked, **searches_of(asked)}, warnings)
    tools = msgspec.json.decode(body["tools"]) if "tools" in body else None
    tools = tools if isinstance(tools, list) else []
    if wanted is None or any(isinstance(t, dict) and str(t.get("type")).startswith("web_search") for t in tools):
        return
    kind = candidate.target.provider.type
    if kind not in _SEARCHING and not quirks_of(kind).openai_models:
        raise Untranslatable.because("a web search has no translation for this model's provider")
    body["tools"] = placed_before([search_tool(wanted, warnings)], body.get("tools"))


def _drop_foreign(body: dict[str, msgspec.Raw], warnings: list[str]) -> None:
    """Reasoning of other vendors' models came to the caller with proofs that OpenAI cannot read, and refuses."""
    items = msgspec.json.decode(body["input"])
    if isinstance(items, list):
        body["input"] = raw([i for i in items if not (isinstance(i, dict) and is_sealed(i.get("encrypted_content")))])
        warnings.append("reasoning of earlier turns was dropped: another vendor's model made it")


def _lay_over(body: dict[str, msgspec.Raw], config: TextGenerationConfig, warnings: list[str]) -> None:
    if config.max_tokens is not None:
        body["max_output_tokens"] = raw(config.max_tokens)
    for name in ("temperature", "top_p"):
        value = getattr(config, name)
        if value is not None:
            body[name] = raw(value)
    lost = [n for n in ("frequency_penalty", "presence_penalty", "seed") if getattr(config, n) is not None]
    lost += ["stop_sequences"] if config.stop_sequences else []
    warnings.extend(f"{name} was dropped: OpenAI's Responses API has no such field" for name in lost)
    reasoning = config.reasoning
    effort = reasoning.effort if reasoning is not None and reasoning.effort != "unspecified" else ""
    effort = effort or (effort_of(reasoning.max_tokens) if reasoning is not None else None) or ""
    if effort:
        own = msgspec.json.decode(body["reasoning"]) if "reasoning" in body else None
        body["reasoning"] = raw({**(own if isinstance(own, dict) else {}), "effort": effort})


def _effort(body: Mapping[str, msgspec.Raw]) -> str:
    """The effort that the body names; empty: none."""
    reasoning = msgspec.json.decode(body["reasoning"]) if "reasoning" in body else None
    effort = reasoning.get("effort") if isinstance(reasoning, dict) else None
    return effort if isinstance(effort, str) else ""


def _place_templates(body: dict[str, msgspec.Raw], candidate: Candidate, metadata: Mapping[str, Any]) -> None:
    placed = [{"role": t.role, "content": fill(t, metadata)} for t in candidate.templates]
    own = body.get("input")
    if own is not None and not bytes(own).startswith(b"["):
        own = raw([{"role": "user", "content": msgspec.json.decode(own)}])
    body["input"] = placed_before(placed, own)
