"""Conditions in CEL: the adapter of cel-expr-python (Google's cel-cpp).

Metadata keys need no declaration: every free name of an expression becomes a
variable of any type. What is known is checked when policy is written: syntax,
functions, the result's type. A condition that fails on a request (a missing
key, a wrong type) does not match; `||` and `&&` absorb such failures as CEL
defines. The library bounds iteration and nesting itself and uses RE2.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from cel_expr_python import cel
from cel_expr_python.ext import ext_encoders, ext_math, ext_strings

from services.core.policy.ports import Condition, ConditionProblem

MAX_SOURCE = 4_096
_ENVIRONMENTS = 512
"""Sets of names whose environment is kept: making one costs twenty times as much as compiling an expression in it."""
MESSAGES = "messages"

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


def _plain(value: Any) -> Any:
    """`value` as the library takes it: it knows lists, but no tuples."""
    return list(value) if isinstance(value, tuple) else value


def _last(values: Any) -> Any:
    """`messages.last()`: the last element, which must exist."""
    return list(values)[-1]


class CelCondition:
    """A compiled condition."""

    __slots__ = ("_environment", "_expression", "_names", "_source", "reads_messages")

    def __init__(self, source: str, names: set[str], environment: Any, expression: Any) -> None:
        self._source = source
        self._names = names
        self._environment = environment
        self._expression = expression
        self.reads_messages = MESSAGES in names

    @property
    def source(self) -> str:
        return self._source

    def matches(self, variables: Mapping[str, Any]) -> bool | ConditionProblem:
        known = {name: _plain(variables[name]) for name in self._names if name in variables}
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
        self._environments: dict[frozenset[str], Any] = {}

    def __call__(self, expression: str) -> Condition | ConditionProblem:
        if len(expression) > MAX_SOURCE:
            return ConditionProblem(f"is longer than {MAX_SOURCE:,} characters")
        names = free_names(expression)
        try:
            environment = self._environment(frozenset(names))
            compiled = environment.compile(expression)
        except (RuntimeError, ValueError) as error:
            return ConditionProblem(_cleaned(str(error)))
        kind = compiled.return_type()
        if kind not in (cel.Type.BOOL, cel.Type.DYN):
            return ConditionProblem(f"must be true or false, but is of type {kind.name()}")
        return CelCondition(expression, names, environment, compiled)

    def _environment(self, names: frozenset[str]) -> Any:
        """An environment in which `names` are variables; conditions of one policy share few."""
        known = self._environments.get(names)
        if known is None:
            variables = dict.fromkeys(names, cel.Type.DYN)
            if MESSAGES in names:
                variables[MESSAGES] = cel.Type.List(cel.Type.DYN)
            known = cel.NewEnv(variables=variables, functions=self._functions, extensions=self._extensions)
            while len(self._environments) >= _ENVIRONMENTS:
                del self._environments[next(iter(self._environments))]
            self._environments[names] = known
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
