"""What OpenAI-style answers hold beside text and calls: sources, pictures, sound, proofs of reasoning, log probabilities.

Each provider has its own places for them. What is not in the form that it should have is passed over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from services.core.numbers import is_whole
from services.dataplane.data_url import split_data_url
from services.dataplane.exchange import Citation, Image, Thinking
from services.dataplane.proofs import vendor_of
from services.dataplane.providers.openai_wire import WireAnswer, WireMessage


def citations_of(message: WireMessage) -> Iterator[Citation]:
    """The sources of a message or delta."""
    if isinstance(message.content, list):
        yield from _references_of(message.content)
    for found in _list(message.annotations):
        told = found.get("url_citation") if isinstance(found, dict) else None
        if isinstance(told, dict):
            yield Citation(
                url=_text(told, "url"),
                title=_text(told, "title"),
                quote=_text(told, "content"),
                start=_count(told, "start_index"),
                end=_count(told, "end_index"),
                document=_count(told, "document_index"),
            )


def _references_of(content: Sequence[Any]) -> Iterator[Citation]:
    """Mistral's references, parts of the content that name by number what a tool's result called so."""
    for part in content:
        named = part.get("reference_ids") if isinstance(part, Mapping) and part.get("type") == "reference" else None
        for number in named if isinstance(named, list) else ():
            if isinstance(number, (int, str)) and not isinstance(number, bool):
                yield Citation(title=str(number))


def sources_of(answer: WireAnswer) -> Iterator[Citation]:
    """Sources that a provider names for the answer as a whole (Perplexity)."""
    for found in _list(answer.search_results):
        if isinstance(found, dict) and (_text(found, "url") or _text(found, "title")):
            yield Citation(_text(found, "url"), _text(found, "title"), _text(found, "snippet"))


def images_of(message: WireMessage) -> Iterator[Image]:
    """The pictures of a message or delta, as gateways send them."""
    for item in _list(msgspec.json.decode(message.images)):
        told = item.get("image_url") if isinstance(item, dict) else None
        url = told.get("url") if isinstance(told, dict) else told
        if isinstance(url, str) and url:
            held = split_data_url(url)
            yield Image(url=url) if held is None else Image(data=held[1], media_type=held[0])


def proofs_of(message: WireMessage) -> Iterator[Thinking]:
    """Proofs of reasoning in a message or delta, without its text."""
    for detail in message.reasoning_details or ():
        if not isinstance(detail, dict):
            continue
        vendor, named = vendor_of(detail.get("format")), _text(detail, "id")
        signature, data = _text(detail, "signature"), _text(detail, "data")
        if detail.get("type") == "reasoning.encrypted" and data:
            yield Thinking(redacted=data, vendor=vendor, id=named)
        elif signature:
            yield Thinking(signature=signature, vendor=vendor, id=named)
    proof = google_proof(message.extra_content)
    if proof:
        yield Thinking(signature=proof, vendor="google")


def google_proof(extra: Any) -> str:
    """The thought signature in an `extra_content`, as Google's OpenAI-style API sends it; empty: none."""
    google = extra.get("google") if isinstance(extra, Mapping) else None
    return _text(google, "thought_signature") if isinstance(google, Mapping) else ""


def tokens_told(logprobs: Any) -> tuple[Mapping[str, Any], ...]:
    """The token objects of a choice's log probabilities."""
    content = logprobs.get("content") if isinstance(logprobs, Mapping) else None
    if not isinstance(content, Sequence) or isinstance(content, str):
        return ()
    return tuple(token for token in content if isinstance(token, Mapping))


def _list(found: Any) -> Sequence[Any]:
    return found if isinstance(found, list) else ()


def _text(told: Mapping[str, Any], name: str) -> str:
    value = told.get(name)
    return value if isinstance(value, str) else ""


def _count(told: Mapping[str, Any], name: str) -> int | None:
    value = told.get(name)
    return value if is_whole(value) else None
