"""Conditions in CEL: what is checked when written, what a request can do to them, and what it cannot."""

from __future__ import annotations

from typing import Any

import pytest

from services.core.policy.ports import Condition, ConditionProblem
from services.runtime.conditions import (
    MAX_REMEMBERED,
    MAX_REMEMBERED_CHARS,
    MAX_SOURCE,
    CelCompiler,
    free_names,
)

COMPILE = CelCompiler()


def compiled(expression: str) -> Any:
    condition = COMPILE(expression)
    assert not isinstance(condition, ConditionProblem), condition.message
    return condition


def refused(expression: str) -> str:
    condition: Condition | ConditionProblem = COMPILE(expression)
    assert isinstance(condition, ConditionProblem), expression
    return condition.message


@pytest.mark.parametrize(
    ("expression", "variables", "expected"),
    [
        ('tier == "premium"', {"tier": "premium"}, True),
        ('language == "es" && plan != "free"', {"language": "es", "plan": "pro"}, True),
        ("age > 18", {"age": 20.5}, True),
        ("age == 42.0", {"age": 42}, True),
        ('"beta" in flags', {"flags": ("alpha", "beta")}, True),
        ('has(user.plan) && user.plan == "x"', {"user": {"plan": "x"}}, True),
        ('has(user.plan) && user.plan == "x"', {"user": {}}, False),
        ("enabled", {"enabled": True}, True),
        ("nothing == null", {"nothing": None}, True),
        ('name.startsWith("a") && name.size() == 3', {"name": "abc"}, True),
        ('"abc".charAt(1) == "b" && math.greatest(1, 2) == 2', {}, True),
        ("x == 9223372036854775807", {"x": 2**63 - 1}, True),
        ('tier == "a" // not tier == "b"', {"tier": "a"}, True),
    ],
)
def test_a_condition_says_whether_a_request_matches(
    expression: str, variables: dict[str, Any], *, expected: bool
) -> None:
    assert compiled(expression).matches(variables) is expected


MESSAGES = (
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "I want a REFUND"},
    {"role": "assistant", "content": "Why?"},
)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ('messages.last().content == "Why?"', True),
        ('messages.last().role == "user"', False),
        ('messages.filter(m, m.role == "user").last().content.contains("REFUND")', True),
        ('messages.exists(m, m.content.lowerAscii().contains("refund"))', True),
        ("messages.size() > 3", False),
        ('messages[0].role == "system"', True),
        ('messages.last().last() == "x"', None),
    ],
)
def test_conditions_over_messages(expression: str, *, expected: bool | None) -> None:
    condition = compiled(expression)
    assert condition.reads_messages
    found = condition.matches({"messages": MESSAGES})
    assert isinstance(found, ConditionProblem) if expected is None else found is expected


def test_the_last_of_no_messages_is_no_match_but_a_problem() -> None:
    found = compiled('messages.last().content == "x"').matches({"messages": ()})
    assert isinstance(found, ConditionProblem)
    assert "out of range" in found.message


@pytest.mark.parametrize(
    ("expression", "variables", "told"),
    [
        ("missing == 1", {}, "missing"),
        ("tier > 1", {"tier": "a"}, "overload"),
        ("1 / zero == 1", {"zero": 0}, "divide by zero"),
        ("flag", {"flag": 1}, "not true or false but of type INT"),
        ("flag", {"flag": None}, "not true or false but of type NULL"),
        ("x == 1", {"x": 2**70}, "out of range"),
        ("user.plan == 1", {"user": "text"}, ""),
    ],
)
def test_a_condition_without_a_value_is_a_problem_and_no_match(
    expression: str, variables: dict[str, Any], told: str
) -> None:
    found = compiled(expression).matches(variables)
    assert isinstance(found, ConditionProblem)
    assert told in found.message
    assert "\n" not in found.message


def test_or_and_and_absorb_a_side_without_a_value() -> None:
    assert compiled('tier == "a" || missing == 1').matches({"tier": "a"}) is True
    assert compiled('missing == 1 || tier == "a"').matches({"tier": "a"}) is True
    assert compiled('tier == "b" && missing == 1').matches({"tier": "a"}) is False


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("tier ==", "at 1:8"),
        ("", "Syntax error"),
        ("unknown(tier)", "undeclared reference to 'unknown'"),
        ("1 + 1", "must be true or false, but is of type INT"),
        ('"text"', "of type STRING"),
        ("messages", "must be true or false"),
        ("true" + " " * MAX_SOURCE, "longer than 4,096 characters"),
        ("(" * 300 + "true" + ")" * 300, "recursion limit"),
    ],
)
def test_what_is_wrong_is_told_when_a_condition_is_written(expression: str, told: str) -> None:
    message = refused(expression)
    assert told in message
    assert "<input>" not in message
    assert "ERROR" not in message


def test_a_syntax_error_points_at_its_place() -> None:
    lines = refused("tier == == 1").splitlines()
    assert lines[1].endswith("tier == == 1")
    assert lines[2].strip(" |.") == "^"


def test_iteration_has_a_budget() -> None:
    messages = tuple({"role": "user", "content": "x"} for _ in range(1_000))
    bomb = compiled('messages.all(a, messages.all(b, messages.all(c, a.role == "user")))')
    found = bomb.matches({"messages": messages})
    assert isinstance(found, ConditionProblem)
    assert "budget" in found.message


def test_a_regular_expression_cannot_explode() -> None:
    # RE2 takes time in proportion to the text; a backtracking engine would never come back from this.
    assert compiled('name.matches("^(a+)+$")').matches({"name": "a" * 50_000 + "b"}) is False


def test_metadata_that_is_nested_without_end_harms_nothing() -> None:
    deep: Any = 1
    for _ in range(900):
        deep = [deep]
    assert isinstance(compiled("x == 1").matches({"x": deep}), bool | ConditionProblem)


def test_a_condition_gets_only_what_it_names() -> None:
    condition = compiled('tier == "a"')
    assert not condition.reads_messages
    assert condition.matches({"tier": "a", "poison": object()}) is True
    assert condition.source == 'tier == "a"'


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ('tier == "premium" && user.plan != plan', {"tier", "user", "plan"}),
        ("x in [1, 2] && !y ? true : null == z", {"x", "y", "z"}),
        ('"quoted name" == a // comment b', {"a"}),
        ("r'raw \\' == c", {"c"}),
        ("messages.exists(m, m.role == role)", {"messages", "m", "role"}),
        ("type(x) == string && math.abs(n) == 1", {"x", "n"}),
        ('b"bytes" == """triple "quoted" d""" + e', {"e"}),
    ],
)
def test_free_names_are_variables_and_nothing_else(expression: str, names: set[str]) -> None:
    assert free_names(expression) == names


TYPES = {"tier": "string", "age": "int", "score": "double", "beta": "bool", "flags": "list", "user": "map"}


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("tier > 5", "no matching overload"),
        ('age == "old"', "no matching overload"),
        ("beta + 1 == 2", "no matching overload"),
        ("tier", "must be true or false, but is of type STRING"),
        ("tier.plan == 1", "cannot be the operand of a select"),
    ],
)
def test_what_was_declared_is_checked_when_it_is_written(expression: str, told: str) -> None:
    assert not isinstance(COMPILE(expression), ConditionProblem), "without a declaration it may be anything"
    found = COMPILE(expression, TYPES)
    assert isinstance(found, ConditionProblem)
    assert told in found.message


@pytest.mark.parametrize(
    ("expression", "metadata"),
    [
        ("score > 0.5 && score < 2.0", {"score": 1}),
        ("age >= 18", {"age": 18}),
        ('"a" in flags && user.plan == "x" && beta', {"flags": ["a"], "user": {"plan": "x"}, "beta": True}),
    ],
)
def test_declared_metadata_is_read(expression: str, metadata: dict[str, Any]) -> None:
    condition = COMPILE(expression, TYPES)
    assert not isinstance(condition, ConditionProblem)
    assert condition.matches(metadata) is True
    assert condition.reads == metadata.keys()


def test_a_number_beyond_all_doubles_is_no_match() -> None:
    condition = COMPILE("score > 0.5", TYPES)
    assert not isinstance(condition, ConditionProblem)
    for value in (10**400, -(10**400)):
        assert condition.matches({"score": value}) is not True


def test_metadata_of_another_type_than_declared_is_no_match_but_a_problem() -> None:
    condition = COMPILE("age >= 18", TYPES)
    assert not isinstance(condition, ConditionProblem)
    for value in ("old", None, [1]):
        assert isinstance(condition.matches({"age": value}), ConditionProblem)


def test_a_remembered_answer_is_of_the_same_values_of_the_same_types() -> None:
    condition = compiled('value == 1 || value == "1"')
    asked = [{"value": 1}, {"value": True}, {"value": "1"}, {"value": 1.0}, {"value": None}, {"value": "2"}, {}]
    first = [condition.matches(variables) for variables in asked]
    assert [answer if isinstance(answer, bool) else "problem" for answer in first] == [
        *(True, False, True, True, False, False),
        "problem",
    ]
    assert [condition.matches(variables) for variables in asked] == first
    assert [condition.matches(variables) for variables in reversed(asked)] == first[::-1]


def test_what_a_condition_remembers_is_bounded() -> None:
    condition = compiled('value.startsWith("x")')
    texts = [f"{'x' if number % 2 else 'y'}{number}" for number in range(3 * MAX_REMEMBERED)]
    for _ in range(2):
        assert [condition.matches({"value": text}) for text in texts] == [text[0] == "x" for text in texts]
        assert len(condition._answers) <= MAX_REMEMBERED
    condition._answers.clear()
    assert condition.matches({"value": "x" * (MAX_REMEMBERED_CHARS + 1)}) is True
    assert not condition._answers


def test_a_condition_remembers_no_messages() -> None:
    condition = compiled("size(messages) == 1")
    assert condition.matches({"messages": [{"role": "user", "content": "a prompt"}]}) is True
    assert not condition._answers
