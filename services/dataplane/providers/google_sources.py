"""Where an answer of Gemini's comes from: its grounding and its citations, counted in characters.

Google counts bytes of UTF-8, in the whole text of the answer so far or, with a part's index, in that part.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from services.dataplane.exchange import Citation
from services.dataplane.providers.google_wire import WireCandidate, WireGrounding, WireGroundingChunk, WireSegment

MAX_CITATIONS = 500
"""Of one answer; what is beyond it is left out, so that a hostile answer costs no more than a long one."""


def sources_of(candidate: WireCandidate, texts: Sequence[str], room: int) -> list[Citation]:
    """The sources that a candidate names, at most `room`.

    Args:
        texts: The texts of the answer so far, part by part.
    """
    if candidate.grounding_metadata is None and candidate.citation_metadata is None:
        return []
    found: list[Citation] = []
    for citation in (*_grounded(candidate.grounding_metadata, texts), *_cited(candidate, texts)):
        if len(found) >= room:
            break
        found.append(citation)
    return found


def _cited(candidate: WireCandidate, texts: Sequence[str]) -> Iterator[Citation]:
    named = candidate.citation_metadata
    for source in ((named.citation_sources or named.citations) if named is not None else None) or ():
        if source.uri:
            start, end = _span(WireSegment(start_index=source.start_index, end_index=source.end_index), texts)
            yield Citation(source.uri, source.title or "", "", start, end)


def _grounded(grounding: WireGrounding | None, texts: Sequence[str]) -> Iterator[Citation]:
    chunks = (grounding.grounding_chunks if grounding is not None else None) or []
    supports = (grounding.grounding_supports if grounding is not None else None) or []
    supported: set[int] = set()
    for support in supports:
        start, end = _span(support.segment, texts) if support.segment is not None else (None, None)
        for index in support.grounding_chunk_indices or ():
            if 0 <= index < len(chunks):
                supported.add(index)
                yield from _source(chunks[index], start, end)
    for index, chunk in enumerate(chunks):
        if index not in supported:
            yield from _source(chunk, None, None)


def _source(chunk: WireGroundingChunk, start: int | None, end: int | None) -> Iterator[Citation]:
    source = chunk.web or chunk.retrieved_context or chunk.maps
    if source is not None and (source.uri or source.title):
        yield Citation(source.uri or "", source.title or "", source.text or "", start, end)


def _span(segment: WireSegment, texts: Sequence[str]) -> tuple[int | None, int | None]:
    """The first character and the one behind the last; None: it is nowhere in the text."""
    text = "".join(texts)
    before = 0
    if segment.part_index and 0 < segment.part_index < len(texts):
        before = sum(len(t) for t in texts[: segment.part_index])
    inner = text[before:]
    data = inner.encode("utf-8", "surrogatepass")
    first, last = segment.start_index or 0, segment.end_index or 0
    if 0 <= first < last <= len(data):
        start, end = _characters(data, first), _characters(data, last)
        if not segment.text or inner[start:end] == segment.text:
            return before + start, before + end
    at = text.find(segment.text) if segment.text else -1
    return (at, at + len(segment.text or "")) if at >= 0 else (None, None)


def _characters(data: bytes, size: int) -> int:
    """How many characters the first `size` bytes hold."""
    return len(data[:size].decode("utf-8", "ignore"))
