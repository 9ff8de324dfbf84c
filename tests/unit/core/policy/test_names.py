"""The grammar of names, at its edges."""

from __future__ import annotations

import re

import pytest

from services.core.policy.names import (
    ID,
    PROVIDER,
    ROUTER,
    bare_router_name,
    derive_name,
    split_model,
    valid_model,
)

GOOD_ROUTERS = ["a", "0", "a-b", "a" * 63]
BAD_ROUTERS = ["", "-a", "A", "a_b", "a.b", "a/b", "a b", "a\n", "ä", "a" * 64]
GOOD_PROVIDERS = [*GOOD_ROUTERS, "a_b", "a.b", "0.1-x_y"]
BAD_PROVIDERS = ["", "-a", ".a", "_a", "A", "a/b", "a b", "a\n", "ä", "a" * 64]
GOOD_IDS = ["a", "A", "0", "A.b-c_d", "a" * 128]
BAD_IDS = ["", "-a", ".a", "_a", "a b", "a/b", "a\n", "é", "a" * 129]


@pytest.mark.parametrize(
    ("grammar", "good", "bad"),
    [(ROUTER, GOOD_ROUTERS, BAD_ROUTERS), (PROVIDER, GOOD_PROVIDERS, BAD_PROVIDERS), (ID, GOOD_IDS, BAD_IDS)],
)
def test_a_grammar_takes_what_is_right_whole_and_nothing_else(
    grammar: re.Pattern[str], good: list[str], bad: list[str]
) -> None:
    assert [name for name in good if not grammar.match(name)] == []
    assert [name for name in bad if grammar.match(name)] == []


@pytest.mark.parametrize("name", ["a", "gpt-5", "openai/gpt-5", "org/a/b:free", "模型", "a" * 255])
def test_a_models_name_is_anything_without_white_space(name: str) -> None:
    assert valid_model(name)


@pytest.mark.parametrize("name", ["", "/a", "a b", "a\t", "a\n", "\u00a0", "a" * 256])
def test_a_models_name_is_not_empty_and_begins_with_no_slash(name: str) -> None:
    assert not valid_model(name)


@pytest.mark.parametrize(
    ("model", "parts"),
    [
        ("openai/gpt-5", ("openai", "gpt-5")),
        ("openai/org/gpt-5", ("openai", "org/gpt-5")),
        ("gpt-5", ("", "gpt-5")),
        ("openai/", ("", "openai/")),
        ("/gpt-5", ("", "gpt-5")),
        ("", ("", "")),
    ],
)
def test_a_model_splits_at_its_first_slash(model: str, parts: tuple[str, str]) -> None:
    assert split_model(model) == parts


@pytest.mark.parametrize(
    ("shown", "name"),
    [
        ("User-Aware", "user-aware"),
        ("  Spanish, paid!  ", "spanish-paid"),
        ("v2.1", "v2-1"),
        ("Ünïcode", "n-code"),
        ("!!!", ""),
        ("", ""),
        ("a" * 80, "a" * 63),
        ("a" * 62 + " b", "a" * 62),
    ],
)
def test_a_routers_name_is_derived_from_its_name_for_people(shown: str, name: str) -> None:
    assert derive_name(shown) == name
    assert not name or ROUTER.match(name)


def test_a_routers_name_may_come_with_the_collections_before_it() -> None:
    assert bare_router_name("routers/mine") == bare_router_name("mine") == "mine"
    assert bare_router_name("routers/routers/x") == "routers/x"
