"""What of a written segment can be read aloud: Markdown without its marks, and no code."""

from __future__ import annotations

import re

from services.dataplane.voice.segmenter import Segment

_IMAGE_OR_LINK = re.compile(r"!?\[([^\]\n]*)\]\([^)\n]*\)")
_ADDRESS = re.compile(r"\bhttps?://(?:www\.)?([^\s/?#)>\]]+)[^\s)>\]]*?(?=[.,;:!?]*(?:[\s)>\]]|\Z))")
_RULE = re.compile(r"^[ \t]*(?:(?:[-*_][ \t]*){3,}|\|?[ \t:|-]*-{3}[ \t:|-]*)$", re.MULTILINE)
_LINE_MARKS = re.compile(r"^[ \t]*(?:#{1,6}[ \t]+|(?:>[ \t]?)+|[-*+•][ \t]+(?:\[[ xX]\][ \t]+)?)+", re.MULTILINE)
_EMPHASIS = re.compile(r"(?<!\w)(?:\*{1,3}|_{1,3}|~~)(?=\S)|(?<=\S)(?:\*{1,3}|_{1,3}|~~)(?!\w)")
_CELLS = re.compile(r"[ \t]*\|[ \t]*")
_SPACES = re.compile(r"[ \t]+")
_LINES = re.compile(r"\s*\n\s*")


def speakable(segment: Segment) -> str:
    """The words of a segment as a voice may read them; empty: there is nothing to be heard."""
    if segment.code:
        return ""
    text = _RULE.sub("", segment.text)
    text = _LINE_MARKS.sub("", text)
    text = _IMAGE_OR_LINK.sub(r"\1", text)
    text = _ADDRESS.sub(r"\1", text).replace("`", "")
    text = _EMPHASIS.sub("", text)
    if "|" in text:
        text = "\n".join(_CELLS.sub(", ", line.strip().strip("|").strip()) for line in text.split("\n"))
    text = _LINES.sub("\n", _SPACES.sub(" ", text)).strip()
    return text if any(c.isalnum() for c in text) else ""
