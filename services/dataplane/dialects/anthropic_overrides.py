"""What a policy lays over a caller's Anthropic-style body: the model, parameters, templates, reasoning."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from services.core.policy.documents import Reasoning, TextGenerationConfig
from services.core.routing.plan import Candidate
from services.dataplane.dialects.openai_house import COMPRESSION, take_out
from services.dataplane.dialects.read_search import SEARCHES, read_search, searches_of
from services.dataplane.dialects.templates import fill
from services.dataplane.limits import within
from services.dataplane.members import Members, decoded, join_members, placed_before, raw
from services.dataplane.proofs import is_sealed
from services.dataplane.providers.anthropic_encode import SAME_NAME, search_tool
from services.dataplane.providers.anthropic_reasoning import (
    BLANK_STOPS,
    NO_SAMPLING,
    NO_SAMPLING_WITH_THINKING,
    ONE_OF_BOTH,
    SAMPLING,
    Surroundings,
    Wish,
    adaptive_only,
    members_of,
    why_not,
)
from services.dataplane.translation import Untranslatable
from services.wire.chat_facts import ROUTING_FIELDS

_DROPPED = frozenset((*ROUTING_FIELDS, *SEARCHES, "extra_body", "user"))
_SYSTEM = {"system", "developer"}
_FOREIGN = re.compile(rb'"(?:signature"\s*:\s*"(?:"|turnout:)|data"\s*:\s*"turnout:|encrypted_index"\s*:\s*"")')
"""What other vendors' models made: reasoning without a proof or with one that is sealed, and sources of theirs."""


def upstream_body(members: Members, candidate: Candidate, metadata: Mapping[str, Any]) -> tuple[bytes, list[str]]:
    """The body for `candidate`, and what was dropped on the way.

    The caller's members stay byte for byte, but for routing fields and what policy sets.

    Args:
        metadata: The request's metadata, for templates.
    """
    warnings: list[str] = []
    body: dict[str, msgspec.Raw] = {n: v for n, v in members.items() if n not in _DROPPED}
    body["model"] = raw(candidate.target.upstream_model)
    _keep_user(body)
    _put_search(body, members, warnings)
    take_out(body, ("system", "messages"), COMPRESSION, warnings)
    if _FOREIGN.search(bytes(body["messages"])):
        _drop_foreign(body, warnings)
    if candidate.generation is not None:
        _lay_over(body, candidate.generation, candidate.target.upstream_model, warnings)
    if candidate.templates:
        _place_templates(body, candidate, metadata)
    if candidate.target.max_output_tokens:
        limit, warning = within(msgspec.json.decode(body["max_tokens"]), candidate.target)
        if warning:
            body["max_tokens"] = raw(limit)
            warnings.append(warning)
    return join_members(body), warnings


def _keep_user(body: dict[str, msgspec.Raw]) -> None:
    """Anthropic's own metadata holds a user id and nothing else; the other keys are for routing."""
    if "metadata" not in body:
        return
    given = msgspec.json.decode(body["metadata"])
    if isinstance(given, dict) and given.keys() == {"user_id"}:
        return
    del body["metadata"]
    if isinstance(given, dict) and given.get("user_id") is not None:
        body["metadata"] = raw({"user_id": given["user_id"]})


def _put_search(body: dict[str, msgspec.Raw], members: Members, warnings: list[str]) -> None:
    """A search in Inworld's or OpenRouter's words, as the tool that it is here; the caller's own tool stays."""
    asked = decoded(members, ("extra_body", *SEARCHES))
    wanted = read_search({**asked, **searches_of(asked)}, warnings) if asked else None
    if wanted is None:
        return
    given = msgspec.json.decode(body["tools"]) if "tools" in body else None
    tools = [tool for tool in given or () if isinstance(tool, dict)]
    if any(str(tool.get("type")).startswith("web_search_") for tool in tools):
        return
    tool = search_tool(wanted, warnings)
    if any(own.get("name") == tool["name"] for own in tools):
        raise Untranslatable.because(SAME_NAME)
    body["tools"] = placed_before([tool], body.get("tools") if given else None)


def _drop_foreign(body: dict[str, msgspec.Raw], warnings: list[str]) -> None:
    """Reasoning and sources of other vendors' models came to the caller without Anthropic's proofs of them."""
    messages = msgspec.json.decode(body["messages"])
    kept = []
    thoughts = sources = 0
    for message in messages:
        content = message.get("content") if isinstance(message, dict) else None
        if isinstance(content, list):
            blocks = [b for b in content if not _is_foreign(b)]
            thoughts += len(content) - len(blocks)
            sources += sum(_drop_sources(block) for block in blocks)
            if content and not blocks:
                continue
            message["content"] = blocks
        kept.append(message)
    body["messages"] = raw(kept)
    if thoughts:
        warnings.append("reasoning of earlier turns was dropped: it lacks Anthropic's signature")
    if sources:
        warnings.append("citations of earlier turns were dropped: they are not of Anthropic's own search")


def _drop_sources(block: Any) -> int:
    """Take the sources out of a text that no search of Anthropic's found; how many there were."""
    cited = block.get("citations") if isinstance(block, dict) else None
    if not isinstance(cited, list):
        return 0
    own = [c for c in cited if not (isinstance(c, dict) and c.get("encrypted_index") == "")]
    if len(own) < len(cited):
        block["citations"] = own or None
    return len(cited) - len(own)


def _is_foreign(block: Any) -> bool:
    """Whether a block is reasoning that Anthropic refuses."""
    if not isinstance(block, dict) or block.get("type") not in ("thinking", "redacted_thinking"):
        return False
    return block.get("signature") == "" or is_sealed(block.get("signature")) or is_sealed(block.get("data"))


def _lay_over(body: dict[str, msgspec.Raw], config: TextGenerationConfig, model: str, warnings: list[str]) -> None:
    adaptive = adaptive_only(model)
    if config.max_tokens is not None:
        body["max_tokens"] = raw(config.max_tokens)
    _put_sampling(body, config, warnings, adaptive=adaptive)
    stops = [stop for stop in config.stop_sequences if stop.strip()]
    if stops:
        body["stop_sequences"] = raw(stops)
    if len(stops) < len(config.stop_sequences):
        warnings.append(BLANK_STOPS)
    for name in ("seed", "frequency_penalty", "presence_penalty"):
        if getattr(config, name) is not None:
            warnings.append(f"{name} was dropped: Anthropic has no such field")
    if config.reasoning is not None:
        _put_thinking(body, config.reasoning, warnings, adaptive=adaptive)


def _put_sampling(
    body: dict[str, msgspec.Raw], config: TextGenerationConfig, warnings: list[str], *, adaptive: bool
) -> None:
    given = {name: value for name in ("temperature", "top_p") if (value := getattr(config, name)) is not None}
    if adaptive:
        warnings.extend(f"{name} was dropped: {NO_SAMPLING}" for name in given)
        return
    body.update({name: raw(min(value, 1)) for name, value in given.items()})
    if given.get("temperature", 0) > 1:
        warnings.append("temperature was lowered to 1, the highest that Anthropic takes")
    if given and "temperature" in body and body.pop("top_p", None) is not None:
        warnings.append(ONE_OF_BOTH)


def _put_thinking(body: dict[str, msgspec.Raw], reasoning: Reasoning, warnings: list[str], *, adaptive: bool) -> None:
    """Reasoning as the policy sets it, where Anthropic takes it."""
    limit = msgspec.json.decode(body["max_tokens"])
    wish = Wish(reasoning.effort, reasoning.max_tokens, limit if isinstance(limit, int) else None)
    if not wish.wanted:
        if reasoning.effort == "none" or reasoning.max_tokens is not None:
            body.pop("thinking", None)
        return
    why = why_not(wish, _surroundings(body), adaptive=adaptive)
    if why:
        warnings.append(f"reasoning was dropped: {why}")
        return
    members = dict(members_of(wish, adaptive=adaptive))
    own = msgspec.json.decode(body["output_config"]) if "output_config" in body else None
    if isinstance(own, dict) and "output_config" in members:
        members["output_config"] = {**own, **members["output_config"]}
    body.update({name: raw(value) for name, value in members.items()})
    for name in SAMPLING:
        if not adaptive and body.pop(name, None) is not None:
            warnings.append(f"{name} was dropped: {NO_SAMPLING_WITH_THINKING}")


def _surroundings(body: Mapping[str, msgspec.Raw]) -> Surroundings:
    choice = msgspec.json.decode(body["tool_choice"]) if "tool_choice" in body else None
    messages = bytes(body["messages"])
    return Surroundings(
        forced_tool=isinstance(choice, dict) and choice.get("type") in ("any", "tool"),
        # A turn that answers calls is the only one that needs the reasoning before it.
        unsigned_calls=b'"tool_result"' in messages and b'"signature"' not in messages,
    )


def _place_templates(body: dict[str, msgspec.Raw], candidate: Candidate, metadata: Mapping[str, Any]) -> None:
    """System templates go before the caller's system text, others before its messages."""
    filled = [(t.role, fill(t, metadata)) for t in candidate.templates]
    texts = [{"type": "text", "text": text} for role, text in filled if role in _SYSTEM]
    turns = [{"role": role, "content": text} for role, text in filled if role not in _SYSTEM]
    if texts:
        own = body.get("system")
        if own is not None and bytes(own).startswith(b'"'):
            own = raw([{"type": "text", "text": msgspec.json.decode(own)}])
        body["system"] = placed_before(texts, own if own is not None and bytes(own).startswith(b"[") else None)
    if turns:
        body["messages"] = placed_before(turns, body["messages"])
