"""The kinds of requests that are shipped: small, quick to load, made again the same, and not upset by typing errors."""

from __future__ import annotations

import json
import time
from pathlib import Path
from random import Random

from services.core.routing.learned.clusters import weights
from services.core.routing.learned.features import features
from services.runtime.kinds import FILE, shipped_kinds, written_kinds
from services.runtime.kinds_refresh import MOST, made, prompts

SUBJECTS = ("the river", "a train", "my neighbour", "the stock market", "a small company", "photosynthesis", "the king")
FORMS = (
    "Explain in simple words why {0} matters to {1}, and give two examples that a child would understand.",
    "If {0} costs 12 dollars and {1} costs 7 dollars, how many dollars do 3 of the first and 5 of the second cost?",
    "Write a Python function that sorts a list of records about {0} by date and returns those about {1}.",
    "Which of the following statements about {0} is true?\nA. It needs {1}\nB. It never changes\nC. It is large\nD. None",
    "Summarize the following report about {0} and {1} in three sentences for a manager who has no time.",
    "What are the legal duties of {0} towards {1} when a contract is broken before it was signed?",
)


def mistyped(text: str, random: Random) -> str:
    """`text` with an error in one of twenty longer words: letters swapped, left out, or doubled."""
    words = text.split(" ")
    for i, word in enumerate(words):
        if len(word) > 3 and random.random() < 0.05:
            k = random.randrange(len(word) - 1)
            swapped = word[:k] + word[k + 1] + word[k] + word[k + 2 :]
            words[i] = random.choice((swapped, word[:k] + word[k + 1 :], word[: k + 1] + word[k:]))
    return " ".join(words)


def nearest(text: str) -> int:
    found = weights(shipped_kinds().clusters, features(text))
    return max(found, key=lambda kind: found[kind])


def test_typing_errors_seldom_change_the_kind_of_a_request() -> None:
    random = Random(7)
    texts = [form.format(one, other) for form in FORMS for one in SUBJECTS for other in SUBJECTS if one != other]
    pairs = [(text, mistyped(text, random)) for text in texts for _ in range(4)]
    noisy = [(text, wrong) for text, wrong in pairs if text != wrong]
    assert len(noisy) > 300
    assert sum(nearest(text) != nearest(wrong) for text, wrong in noisy) / len(noisy) < 0.15


def test_kinds_are_several_and_requests_of_different_sorts_are_of_different_ones() -> None:
    kinds = shipped_kinds()
    assert 16 <= kinds.clusters.count <= 48
    assert len({nearest(form.format("the river", "a train")) for form in FORMS}) >= 3


def test_the_file_is_small_and_quick_to_load() -> None:
    assert FILE.stat().st_size < 300_000
    shipped_kinds.cache_clear()
    began = time.process_time()
    shipped_kinds()
    assert time.process_time() - began < 0.05


def test_the_shipped_file_says_what_it_is_called() -> None:
    kinds = shipped_kinds()
    assert written_kinds(kinds.clusters) == FILE.read_bytes()


def test_equal_prompts_give_equal_bytes_and_no_domain_has_more_than_its_share(tmp_path: Path) -> None:
    file = tmp_path / "prompts.jsonl"
    rows = [{"prompt": form.format(one, i), "domain": "d"} for i in range(4) for form in FORMS for one in SUBJECTS]
    file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    assert len(list(prompts(file))) == MOST
    assert written_kinds(made([file])) == written_kinds(made([file]))
