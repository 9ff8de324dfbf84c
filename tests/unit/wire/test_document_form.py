"""Reading policy files: everything that is wrong is told, each with its path and what would be right."""

from __future__ import annotations

from typing import Any

import pytest

from services.core.errors import Problem
from services.wire.document_form import read_form, read_yaml, to_yaml


def told(form: Any, **how: Any) -> list[str]:
    resource, problems = read_form(form, **how)
    assert (resource is None) == any(not p.warning for p in problems)
    return [str(p) for p in problems]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"tpye": "openai"}, "Provider/p tpye: unknown field; did you mean 'type'?"),
        ({"base_url": "x", "baseUrl": "y"}, "Provider/p baseUrl: given twice, as 'base_url' and 'baseUrl'"),
        ({"credentials": "env:KEY"}, "Provider/p credentials: expected a list, got 'env:KEY'"),
        ({"credentials": [None]}, "Provider/p credentials[0]: expected text, got nothing"),
        ({"headers": ["a"]}, "Provider/p headers: expected a mapping, got a list"),
        ({"headers": {"a": [1]}}, "Provider/p headers.a: expected text, got a list"),
        ({"clocks": "2s"}, "Provider/p clocks: expected a mapping, got '2s'"),
        ({"type": True}, "Provider/p type: expected text, got True"),
        (
            {"clocks": {"idle": 30}},
            'Provider/p clocks.idle: expected a duration such as "300ms", "10s" or "2m", got 30',
        ),
    ],
)
def test_a_wrong_field_is_told_with_its_path(fields: dict[str, Any], expected: str) -> None:
    assert told({"kind": "Provider", "name": "p", **fields}) == [expected]


@pytest.mark.parametrize(
    ("value", "good"),
    [(8192, True), ("8192", True), (8192.0, True), (8192.5, False), ("8k", False), (True, False), (1 << 63, False)],
)
def test_an_integer_is_one_however_it_is_written(value: Any, *, good: bool) -> None:
    found = told({"kind": "Model", "name": "p/m", "context_length": value})
    assert (found == []) == good


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_is_none_is_not_an_integer(value: float) -> None:
    assert "expected an integer" in told({"kind": "Model", "name": "p/m", "context_length": value})[0]


def test_a_number_field_takes_numbers_and_nothing_else() -> None:
    form = {"kind": "Model", "name": "p/m", "prices": {"input_per_million": "cheap", "output_per_million": True}}
    assert told(form) == [
        "Model/p/m prices.input_per_million: expected a number, got 'cheap'",
        "Model/p/m prices.output_per_million: expected a number, got True",
    ]
    capable = {"kind": "Model", "name": "p/m", "capabilities": {"tools": "yes"}}
    assert told(capable) == ["Model/p/m capabilities.tools: expected true or false, got 'yes'"]


def test_a_long_text_in_the_wrong_place_is_not_repeated() -> None:
    secret = "sk-" + "x" * 60
    (problem,) = told({"kind": "Provider", "name": "p", "credentials": secret})
    assert secret not in problem
    assert "63 characters" in problem or "65 characters" in problem


@pytest.mark.parametrize("form", [None, 3, "text", []])
def test_what_is_no_mapping_is_no_document(form: Any) -> None:
    assert "expected a mapping with `kind:` and `name:`" in told(form)[0]


def test_an_unknown_kind_is_told_with_the_one_that_was_meant() -> None:
    assert told({"kind": "Ruoter", "name": "r"}) == [
        "Ruoter/r kind: expected one of Provider, Model, Router, ApiKey, Alias, Settings, Catalogue; did you mean 'Router'?"
    ]
    assert "expected one of" in told({"name": "r"})[0]


def test_lenient_reading_accepts_unknown_fields_with_a_warning() -> None:
    resource, problems = read_form({"name": "r", "colour": "blue"}, kind="Router", lenient=True)
    assert resource is not None
    assert problems == [Problem("Router", "r", "colour", "unknown field", warning=True)]


def test_nesting_without_end_is_refused() -> None:
    form: dict[str, Any] = {"kind": "Router", "name": "r"}
    inner: Any = form
    for _ in range(40):
        inner["default_route"] = {}
        inner = inner["default_route"]
    assert told(form)


def test_yaml_with_a_key_twice_is_refused_with_its_line() -> None:
    _, problems = read_yaml("kind: Provider\nname: a\nname: b\n")
    assert [str(p) for p in problems] == ["YAML/line 3, column 1: key 'name' is given twice"]


@pytest.mark.parametrize("text", ["kind: [", "a: b: c", "\x00"])
def test_what_is_no_yaml_is_told_as_such(text: str) -> None:
    resources, problems = read_yaml(text)
    assert resources == []
    assert problems[0].kind == "YAML"


def test_a_document_given_twice_is_told() -> None:
    one = "kind: Alias\nname: a\nmodel: p/m\n"
    _, problems = read_yaml(f"{one}---\n{one}")
    assert [str(p) for p in problems] == ["Alias/a: given 2 times"]


def test_lists_of_documents_and_empty_documents_are_read() -> None:
    text = "---\n- {kind: Alias, name: a, model: p/m}\n- {kind: Alias, name: b, model: p/m}\n---\n"
    resources, problems = read_yaml(text)
    assert problems == []
    assert [r.alias.name for r in resources] == ["a", "b"]
    assert read_yaml(to_yaml(resources)) == (resources, [])


def test_yaml_makes_no_objects() -> None:
    _, problems = read_yaml("!!python/object/apply:os.system [echo]")
    assert problems[0].kind == "YAML"
