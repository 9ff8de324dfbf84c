"""Parts of answers, their sources and their usage in Google's wire format."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from services.dataplane.dialects.writing import arguments_object
from services.dataplane.exchange import Audio, Citation, Image, Thinking, ToolCall
from services.dataplane.proofs import sealed_for_google
from services.dataplane.providers.google_turns import UNCHECKED
from services.dataplane.translation import TokenUsage

_SOUNDS: Mapping[str, str] = {"pcm16": "L16;codec=pcm;rate=24000", "mp3": "mpeg", "": "wav"}

Value = dict[str, Any]


def text_part(text: str) -> Value:
    return {"text": text}


def thought_part(thought: Thinking) -> Value:
    """Reasoning, with its proof, which may be another vendor's."""
    proof = sealed_for_google(thought)
    return {"text": thought.text, "thought": True, **({"thoughtSignature": proof} if proof else {})}


def signature_part(thought: Thinking) -> Value:
    """The proof alone of an answer whose reasoning is not told: Google puts it to a text."""
    return {"text": "", "thoughtSignature": sealed_for_google(thought)}


def call_parts(calls: Sequence[ToolCall]) -> list[Value]:
    """Calls of one turn. The first one says for all that Google need not check a proof that they do not have."""
    signed = any(call.signature for call in calls)
    found = []
    for index, call in enumerate(calls):
        given: Value = {"id": call.id} if call.id else {}
        part: Value = {"functionCall": {**given, "name": call.name, "args": arguments_object(call.arguments)}}
        proof = sealed_for_google(Thinking(signature=call.signature, vendor="google"))
        proof = proof or (UNCHECKED if not signed and index == 0 else "")
        found.append({**part, "thoughtSignature": proof} if proof else part)
    return found


def image_part(image: Image) -> Value:
    media_type = image.media_type or "image/png"
    if image.data:
        return {"inlineData": {"mimeType": media_type, "data": image.data}}
    return {"fileData": {"mimeType": media_type, "fileUri": image.url}}


def audio_parts(audio: Audio) -> list[Value]:
    """Sound, and what is said in it as text, for which Google has no place of its own."""
    found: list[Value] = []
    if audio.data:
        media_type = f"audio/{_SOUNDS.get(audio.format, audio.format)}"
        found.append({"inlineData": {"mimeType": media_type, "data": audio.data}})
    return [*found, text_part(audio.transcript)] if audio.transcript else found


def grounding(citations: Iterable[Citation], text: str) -> Value:
    """The sources of an answer, placed in its text by bytes of UTF-8; empty: there are none.

    Args:
        text: The text of the answer, whole.
    """
    chunks: list[Value] = []
    supports: list[Value] = []
    known: dict[tuple[str, str, str], int] = {}
    for citation in citations:
        document = citation.document is not None or not citation.url
        key = (citation.url, citation.title, citation.quote if document else "")
        if key not in known:
            known[key] = len(chunks)
            chunks.append(_source(citation, document=document))
        start, end = citation.start, citation.end
        if start is not None and end is not None and 0 <= start < end <= len(text):
            segment: Value = {"startIndex": _bytes(text[:start])} if start else {}
            segment |= {"endIndex": _bytes(text[:end]), "text": text[start:end]}
            supports.append({"segment": segment, "groundingChunkIndices": [known[key]]})
    if not chunks:
        return {}
    return {"groundingChunks": chunks, **({"groundingSupports": supports} if supports else {})}


def _source(citation: Citation, *, document: bool) -> Value:
    found: Value = {"uri": citation.url} if citation.url else {}
    found |= {"title": citation.title} if citation.title else {}
    if not document:
        return {"web": found}
    return {"retrievedContext": {**found, "text": citation.quote} if citation.quote else found}


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def logprobs_result(tokens: Sequence[Mapping[str, Any]]) -> Value:
    """Log probabilities as Google lists them."""
    tops = [_candidates(token.get("top_logprobs")) for token in tokens]
    found: Value = {"chosenCandidates": [_candidate(token) for token in tokens]}
    return {**found, "topCandidates": [{"candidates": top} for top in tops]} if any(tops) else found


def _candidates(tops: Any) -> list[Value]:
    """The tokens that stood beside one; a provider may have put anything in their place."""
    return [_candidate(top) for top in tops if isinstance(top, Mapping)] if isinstance(tops, list) else []


def _candidate(token: Mapping[str, Any]) -> Value:
    return {"token": token.get("token"), "logProbability": token.get("logprob")}


def usage_form(usage: TokenUsage, cost_usd: float | None) -> Value:
    """Usage in Google's shape, where reasoning is counted apart. Zeros are left out, as Google does."""
    counts = {
        "promptTokenCount": usage.input_tokens,
        "cachedContentTokenCount": usage.cache_read_tokens,
        "candidatesTokenCount": max(0, usage.output_tokens - usage.reasoning_tokens),
        "thoughtsTokenCount": usage.reasoning_tokens,
        "totalTokenCount": usage.input_tokens + usage.output_tokens,
    }
    form: Value = {name: count for name, count in counts.items() if count or name == "totalTokenCount"}
    details = {
        "promptTokensDetails": (usage.input_tokens, usage.input_audio_tokens, usage.input_image_tokens),
        "cacheTokensDetails": (usage.cache_read_tokens, usage.cache_audio_tokens, 0),
        "candidatesTokensDetails": (
            usage.output_tokens - usage.reasoning_tokens, usage.output_audio_tokens, usage.output_image_tokens,
        ),
    }  # fmt: skip
    form |= {name: _modalities(*counted) for name, counted in details.items() if any(counted[1:])}
    return {**form, "cost": cost_usd} if cost_usd is not None else form


def _modalities(tokens: int, audio: int, image: int) -> list[Value]:
    counts = {"TEXT": tokens - audio - image, "AUDIO": audio, "IMAGE": image}
    return [{"modality": kind, "tokenCount": count} for kind, count in counts.items() if count > 0]
