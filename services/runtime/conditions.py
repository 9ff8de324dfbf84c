"""Conditions in CEL: the adapter of cel-expr-python (Google's cel-cpp).

Metadata keys need no declaration: every free name of an expression becomes a
variable, of its declared type or of any. What is known is checked when policy is
written: syntax, functions, types of operands, the result's type. A condition that fails on a request (a missing
key, a wrong type) does not match; `||` and `&&` absorb such failures as CEL
defines. The library bounds iteration and nesting itself and uses RE2.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from cel_expr_python import cel
from cel_expr_python.ext import ext_encoders, ext_math, ext_strings

from services.core.numbers import is_number
from services.core.policy.ports import Condition, ConditionProblem

MAX_SOURCE = 4_096
_ENVIRONMENTS = 512
"""Sets of names whose environment is kept: making one costs twenty times as much as compiling an expression in it."""
MESSAGES = "messages"
MAX_REMEMBERED = 256
"""Sets of values for which a condition remembers its answer; beyond it begins anew."""
MAX_REMEMBERED_CHARS = 64
"""Of a text among them; with a longer one the condition is evaluated each time."""

_UNDECLARED: Mapping[str, str] = {}

_TOKEN = re.compile(
    r"""(?P<raw>[bB]?[rR][bB]?(?:\"\"\".*?\"\"\"|'''.*?'''|"[^"\n]*"|'[^'\n]*'))"""
    r"""|(?P<string>[bB]?(?:\"\"\".*?\"\"\"|'''.*?'''|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))"""
    r"""|(?P<comment>//[^\n]*)"""
    r"""|(?P<name>(?:\.\s*)?[A-Za-z_][A-Za-z0-9_]*)(?P<call>\s*\()?""",
    re.DOTALL,
)
_RESERVED = {"true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if"}
_RESERVED |= {"import", "let", "loop", "package", "namespace", "return", "var", "void", "while"}
_TYPES = {"bool", "int", "uint", "double", "string", "bytes", "list", "map", "type", "null_type", "optional", "math"}
_TYPES |= {"base64", "strings", "google"}


def free_names(expression: str) -> set[str]:
    """The names in `expression` that can only be variables: no members, functions, types or words of the language."""
    names = set()
    for match in _TOKEN.finditer(expression):
        name = match["name"]
        if name and not name.startswith(".") and not match["call"] and name not in _RESERVED and name not in _TYPES:
            names.add(name)
    return names


_ABSENT = object()


def _memorable(values: Mapping[str, Any], names: Iterable[str]) -> tuple[Any, ...] | None:
    """What an answer is remembered by: short texts, truth values, whole numbers; None: others are among them."""
    key = []
    for name in names:
        value = values.get(name, _ABSENT)
        kind = type(value)
        if kind is int:
            value = (value,)  # else 1 would be True
        elif not ((kind is str and len(value) <= MAX_REMEMBERED_CHARS) or kind is bool or value is _ABSENT):
            return None
        key.append(value)
    return tuple(key)


_DOUBLES = "double"
_CEL_TYPES = {
    "string": cel.Type.STRING,
    "int": cel.Type.INT,
    _DOUBLES: cel.Type.DOUBLE,
    "bool": cel.Type.BOOL,
    "list": cel.Type.List(cel.Type.DYN),
    "map": cel.Type.Map(cel.Type.STRING, cel.Type.DYN),
}


def _plain(value: Any) -> Any:
    """`value` as the library takes it: it knows lists, but no tuples."""
    return list(value) if isinstance(value, tuple) else value


def _double(value: Any) -> Any:
    """A whole number of JSON as the double that it is declared to be; one that is too large stays, and matches nothing."""
    return float(value) if is_number(value) else value


def _last(values: Any) -> Any:
    """`messages.last()`: the last element, which must exist."""
    return list(values)[-1]


class CelCondition:
    """A compiled condition."""

    __slots__ = ("_answers", "_doubles", "_environment", "_expression", "_names", "_source", "reads_messages")

    def __init__(
        self, source: str, names: frozenset[str], environment: Any, expression: Any, doubles: frozenset[str]
    ) -> None:
        self._source = source
        self._names = names
        self._environment = environment
        self._expression = expression
        self._doubles = doubles
        self._answers: dict[tuple[Any, ...], bool | ConditionProblem] = {}
        self.reads_messages = MESSAGES in names

    @property
    def source(self) -> str:
        return self._source

    @property
    def reads(self) -> frozenset[str]:
        return self._names

    def matches(self, variables: Mapping[str, Any]) -> bool | ConditionProblem:
        # The answer follows from these values alone, and most requests repeat those of others.
        key = _memorable(variables, self._names)
        if key is None:
            return self._evaluated(variables)
        found = self._answers.get(key)
        if found is None:
            if len(self._answers) >= MAX_REMEMBERED:
                self._answers.clear()
            found = self._answers[key] = self._evaluated(variables)
        return found

    def _evaluated(self, variables: Mapping[str, Any]) -> bool | ConditionProblem:
        known = {name: _plain(variables[name]) for name in self._names if name in variables}
        for name in self._doubles:
            if name in known:
                known[name] = _double(known[name])
        try:
            value = self._expression.eval(data=known)
        except (RuntimeError, TypeError, ValueError) as error:
            return ConditionProblem(_first_line(str(error)))
        plain = value.value()
        if plain is True or plain is False:
            return bool(plain)
        if value.type() == cel.Type.ERROR:
            return ConditionProblem(_first_line(str(plain)))
        return ConditionProblem(f"the value is not true or false but of type {value.type().name()}")


class CelCompiler:
    """Compiles conditions. One per process; safe to share."""

    def __init__(self) -> None:
        dyn = cel.Type.DYN
        last = cel.Overload("list_last", return_type=dyn, parameters=[cel.Type.List(dyn)], is_member=True, impl=_last)
        self._functions = [cel.FunctionDecl("last", [last])]
        self._extensions = [
            ext_strings.ExtStrings(),
            ext_math.ExtMath(),
            ext_encoders.ExtEncoders(),
        ]
        self._environments: dict[frozenset[tuple[str, str]], Any] = {}

    def __call__(self, expression: str, types: Mapping[str, str] = _UNDECLARED) -> Condition | ConditionProblem:
        if len(expression) > MAX_SOURCE:
            return ConditionProblem(f"is longer than {MAX_SOURCE:,} characters")
        names = frozenset(free_names(expression))
        typed = frozenset((name, types.get(name, "")) for name in names)
        try:
            environment = self._environment(typed)
            compiled = environment.compile(expression)
        except (RuntimeError, ValueError) as error:
            return ConditionProblem(_cleaned(str(error)))
        kind = compiled.return_type()
        if kind not in (cel.Type.BOOL, cel.Type.DYN):
            return ConditionProblem(f"must be true or false, but is of type {kind.name()}")
        doubles = frozenset(name for name, kind in typed if kind == _DOUBLES)
        return CelCondition(expression, names, environment, compiled, doubles)

    def _environment(self, typed: frozenset[tuple[str, str]]) -> Any:
        """An environment with these names and types as variables; conditions of one policy share few."""
        known = self._environments.get(typed)
        if known is None:
            variables = {name: _CEL_TYPES.get(kind, cel.Type.DYN) for name, kind in typed}
            if MESSAGES in variables:
                variables[MESSAGES] = cel.Type.List(cel.Type.DYN)
            known = cel.NewEnv(variables=variables, functions=self._functions, extensions=self._extensions)
            while len(self._environments) >= _ENVIRONMENTS:
                del self._environments[next(iter(self._environments))]
            self._environments[typed] = known
        return known


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0][:200] if text.strip() else "no value"


def _cleaned(text: str) -> str:
    """The library's message without its wrapping; the lines with the caret stay."""
    text = re.sub(r"\s*\[[A-Z_]+\]\s*$", "", text.strip()).replace("ERROR: ", "")
    text = re.sub(r"^INVALID_ARGUMENT: <input>:", "at ", text).replace("<input>:", "at ")
    text = text.replace(" (in container '')", "")
    # The list of everything that the grammar would have allowed helps nobody.
    return re.sub(r" expecting \{.*?\}$", "", text, flags=re.MULTILINE)
