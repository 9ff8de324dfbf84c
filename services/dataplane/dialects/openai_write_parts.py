"""The pieces of answers in OpenAI's wire format: citations, pictures, sound, reasoning with its proof, calls.

Pictures and reasoning details are in OpenRouter's shape, proofs of calls in that of Google's
OpenAI-style API; OpenAI itself has none of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from services.dataplane.data_url import data_url
from services.dataplane.exchange import Audio, Citation, Image, Thinking
from services.dataplane.proofs import format_of

_NO_EXPIRY = 0
"""Sound that came by value does not expire; OpenAI's type has no word for that."""


def annotation(citation: Citation) -> dict[str, Any]:
    """A citation as OpenAI has it: of a page. One of a document has an empty address, and its place in the request.

    A type of its own would be truer, but official clients read `url_citation` without looking at the type.
    """
    told: dict[str, Any] = {
        "url": citation.url,
        "title": citation.title,
        "start_index": citation.start or 0,
        "end_index": citation.end or 0,
    }
    if citation.quote:
        told["content"] = citation.quote
    if citation.document is not None:
        told["document_index"] = citation.document
    return {"type": "url_citation", "url_citation": told}


def picture(image: Image, index: int) -> dict[str, Any]:
    """A picture that the model made."""
    url = image.url or data_url(image.data, image.media_type or "image/png")
    return {"type": "image_url", "image_url": {"url": url}, "index": index}


def sound(parts: Iterable[Audio], fallback_id: str) -> dict[str, Any]:
    """Sound that the model made."""
    found = list(parts)
    return {
        "id": next((a.id for a in found if a.id), fallback_id),
        "data": "".join(a.data for a in found),
        "transcript": "".join(a.transcript for a in found),
        "expires_at": _NO_EXPIRY,
    }


def details(thinking: Thinking, index: int) -> list[dict[str, Any]]:
    """Reasoning with its proof; callers who send it back keep the vendor's proof alive."""
    common: dict[str, Any] = {"format": format_of(thinking.vendor)}
    if thinking.id:
        common["id"] = thinking.id
    if not thinking.redacted:
        text = {"type": "reasoning.text", "text": thinking.text, "signature": thinking.signature}
        return [{**text, **common, "index": index}]
    hidden = {"type": "reasoning.encrypted", "data": thinking.redacted, **common}
    if not thinking.text:
        return [{**hidden, "index": index}]
    summary = {"type": "reasoning.summary", "summary": thinking.text, **common, "index": index}
    return [summary, {**hidden, "index": index + 1}]


def call_extra(signature: str) -> dict[str, Any]:
    """The proof of a tool call, as a member of it; nothing when there is none."""
    return {"extra_content": {"google": {"thought_signature": signature}}} if signature else {}


def logprobs_form(tokens: Iterable[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Log probabilities of a choice; None: there are none."""
    found = list(tokens)
    return {"content": found, "refusal": None} if found else None
