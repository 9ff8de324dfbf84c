"""How good models are by published benchmarks: the small table `scores.jsonl` beside this module.

A score belongs to a model and not to who serves it, so models are found by their name alone, in every spelling that
providers have for it. All releases of a family share a score. `scoring.py` makes the table.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import msgspec

from services.core.policy.documents import Scores
from services.runtime.catalogue.names import REGION, family

PATH = Path(__file__).with_name("scores.jsonl")
MAX_REMEMBERED = 16_384
"""Names that are remembered; callers may name any model, so there must be a bound."""

_AUTHOR = re.compile(
    r"\A(?:anthropic|meta|amazon|mistral|cohere|deepseek|openai|qwen|ai21|google|moonshotai)\.(?=[a-z])"
)
_SIZE_TAG = re.compile(r":(\d+(?:\.\d+)?b)\b")
"""The size of a model as Ollama writes it, "qwen3:32b"."""
_CLAUDE_ZERO = re.compile(r"(?<=\Aclaude-opus-4)-0\Z|(?<=\Aclaude-sonnet-4)-0\Z")
_SNAPSHOT = re.compile(r"-(?:preview|exp)-\d\d-\d\d\Z")
_DRESS = re.compile(r"-(?:instruct|it|chat|hf|maas|fp8|fp16|bf16|awq|turbo|versatile|instant|preview|exp)\Z")
"""Ends of names that say how a model is served or packed, and not which one it is."""
_ALIKE = (
    ("qwen-2", "qwen2"),
    ("qwen-3", "qwen3"),
    ("meta-llama-", "llama-"),
    ("llama3", "llama-3"),
    ("llama-v3p", "llama-3-"),
)


class Row(msgspec.Struct, omit_defaults=True):
    """A model of the table; scores from 0 to 1, and from how many results each comes."""

    id: str
    intelligence: float | None = None
    math: float | None = None
    coding: float | None = None
    results: dict[str, int] = msgspec.field(default_factory=dict)


def name_of(model: str) -> str:
    """The name that all spellings of a model's family have in the table, packing included."""
    plain = _SIZE_TAG.sub(r"-\1", model.lower().rpartition("/")[2]).partition(":")[0].replace(" ", "-")
    plain = _SNAPSHOT.sub("", family(_AUTHOR.sub("", REGION.sub("", plain))))
    for theirs, ours in _ALIKE:
        if plain.startswith(theirs):
            plain = ours + plain[len(theirs) :]
    return _CLAUDE_ZERO.sub("", plain)


def _undressed(name: str) -> str:
    while (shorter := _DRESS.sub("", name)) != name:
        name = shorter
    return name


def read(path: Path = PATH) -> Mapping[str, Row]:
    """The rows of a table by name, and by name without packing where that is nobody else's.

    Raises:
        OSError: The file cannot be read.
        msgspec.DecodeError: It is no such table.
    """
    lines = path.read_text(encoding="utf-8").splitlines()[1:]
    rows = [msgspec.json.decode(line, type=Row) for line in lines]
    found = {row.id: row for row in rows}
    for row in rows:
        found.setdefault(_undressed(row.id), row)
    return found


@lru_cache(maxsize=1)
def _table() -> Mapping[str, Row]:
    return read()


@lru_cache(maxsize=MAX_REMEMBERED)
def scores_of(model: str) -> Scores:
    """The scores of a model, however it is spelt; all None: it is not in the table."""
    name, table = name_of(model), _table()
    row = table.get(name) or table.get(_undressed(name))
    return Scores(row.intelligence, row.math, row.coding) if row is not None else Scores()
