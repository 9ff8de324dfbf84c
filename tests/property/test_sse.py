"""Server-sent events under any cut and any line ending."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from services.dataplane.sse import SseParser

payloads = st.lists(
    st.text(st.characters(blacklist_characters="\r\n\0", blacklist_categories=("Cs",)), min_size=1, max_size=20),
    min_size=1,
    max_size=3,
)
events = st.lists(st.tuples(st.sampled_from(["", "message", "ping"]), payloads), min_size=1, max_size=6)


def encode(items: list[tuple[str, list[str]]], ends: list[str], *, comments: bool, bom: bool) -> bytes:
    out, turn = "\ufeff" if bom else "", 0

    def end() -> str:
        nonlocal turn
        turn += 1
        return ends[turn % len(ends)]

    for name, lines in items:
        if comments:
            out += ": keep-alive" + end()
        if name:
            out += f"event: {name}" + end()
        for line in lines:
            out += f"data: {line}" + end()
        out += end()
    return out.encode()


@settings(max_examples=300, deadline=None)
@given(events, st.sampled_from([["\n"], ["\r\n"], ["\r"]]), st.booleans(), st.booleans(), st.data())
def test_any_partition_gives_the_same_events(
    items: list[tuple[str, list[str]]], ends: list[str], comments: bool, bom: bool, data: st.DataObject
) -> None:
    stream = encode(items, ends, comments=comments, bom=bom)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=20)))
    parser = SseParser()
    found = []
    for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += parser.feed(stream[begin:end])
    assert [(e.event, e.data.decode()) for e in found] == [(name, "\n".join(lines)) for name, lines in items]
    assert not parser.rest().strip()
