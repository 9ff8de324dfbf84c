"""The index of a router's conditions leaves out nothing that could match."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.core.policy.compile import compile
from services.core.policy.documents import (
    Condition,
    ConditionalRoute,
    Document,
    Provider,
    ResourceKey,
    Route,
    Router,
    Variant,
    WeightedVariant,
    key_of,
)
from services.core.policy.ports import ConditionProblem
from services.core.policy.route_index import index_of, required
from services.core.policy.snapshot import Snapshot
from services.runtime.catalogue.shipped import ShippedCatalogue
from services.runtime.conditions import CelCompiler

CEL, CATALOGUE = CelCompiler(), ShippedCatalogue()
KEYS = ("tenant", "plan", "age")
TEXTS = st.sampled_from(["a", "b", "&&", "a || b", "x'y", ""])


@st.composite
def terms(draw: st.DrawFn, depth: int = 2) -> str:
    key, text = draw(st.sampled_from(KEYS)), draw(TEXTS)
    quoted = f'"{text}"' if "'" in text or draw(st.booleans()) else f"'{text}'"
    simple = st.sampled_from([f"{key} == {quoted}", f"{quoted} == {key}", f"{key} != {quoted}", f"{key} in [{quoted}]"])
    others = st.sampled_from([f"{key}.startsWith({quoted})", "age > 3", "true", f"has({key}.x)", f"size({key}) == 1"])
    if depth == 0:
        return draw(simple | others)
    one, other = draw(terms(depth - 1)), draw(terms(depth - 1))
    joined = [f"{one} && {other}", f"{one} || {other}", f"({one}) && {other}", f"!({one})", f"({one}) ? {other} : true"]
    return draw(st.sampled_from([one, *joined]))


METADATA = st.dictionaries(st.sampled_from(KEYS), TEXTS | st.integers(0, 5) | st.booleans(), max_size=3)


@settings(max_examples=400, deadline=None)
@given(terms(), METADATA)
def test_a_condition_is_never_true_without_what_it_requires(expression: str, metadata: dict[str, Any]) -> None:
    condition = CEL(expression)
    if isinstance(condition, ConditionProblem):
        return
    for key, value in required(expression).items():
        if metadata.get(key) != value:
            assert condition.matches(metadata) is not True


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ('a == "x"', {"a": "x"}),
        ('a == "x" && b > 1 && "y" == c', {"a": "x", "c": "y"}),
        ('a == "x && b"', {"a": "x && b"}),
        ('a == "x" || b == "y"', {}),
        ('a == "x" && (b == "y" || c == "z")', {"a": "x"}),
        ('(a == "x") && b == "y"', {"b": "y"}),
        ('a == "x" ? b : c', {}),
        ('a.b == "x"', {}),
        ('a == "x\\"y"', {}),
        ('a == "x" // && b == "y"', {}),
        ('!(a == "x")', {}),
        ('f(a, "b") && c == "d"', {"c": "d"}),
        ("", {}),
    ],
)
def test_what_a_condition_requires(expression: str, found: dict[str, str]) -> None:
    assert required(expression) == found


@settings(max_examples=60, deadline=None)
@given(st.lists(terms(depth=1), min_size=16, max_size=40), st.lists(METADATA, min_size=1, max_size=10))
def test_the_first_match_is_the_same_with_the_index_and_without(
    expressions: list[str], requests: list[dict[str, Any]]
) -> None:
    index = index_of(expressions)
    conditions = [CEL(e) for e in expressions]
    for metadata in requests:
        plain = [
            i for i, c in enumerate(conditions) if not isinstance(c, ConditionProblem) and c.matches(metadata) is True
        ]
        possible = list(index.possible(metadata)) if index is not None else list(range(len(expressions)))
        assert possible == sorted(set(possible))
        assert set(plain) <= set(possible)


def router(name: str, tenant: str, model: str) -> Router:
    variants = (WeightedVariant(100, Variant(variant_id="v", model_id=model)),)
    rule = ConditionalRoute(Condition(f'tenant == "{tenant}"'), Route("r", variants))
    return Router(name=name, routes=(rule,), default_route=Route("d", variants))


STEP = st.tuples(
    st.sampled_from("pqrs"), st.sampled_from(["a", "b"]), st.sampled_from(["", "one/x", "two/x", "none/x"])
)


@settings(max_examples=80, deadline=None)
@given(st.lists(STEP | st.sampled_from(["one", "two"]), min_size=1, max_size=12))
def test_compiling_from_what_was_there_gives_what_compiling_anew_gives(steps: list[Any]) -> None:
    documents: dict[ResourceKey, Document] = {}
    previous: Snapshot | None = None
    for step in steps:
        if isinstance(step, str):
            key = ResourceKey("Provider", step)
            given_one: Document = Provider(name=step, type="openai", labels={"n": str(len(documents))})
            documents = (
                {**documents, key: given_one}
                if key not in documents
                else {k: d for k, d in documents.items() if k != key}
            )
        else:
            name, tenant, model = step
            key = ResourceKey("Router", name)
            documents = {k: d for k, d in documents.items() if k != key}
            if model:
                documents[key] = router(name, tenant, model)
        anew = compile(documents, CEL, CATALOGUE, revision=3)
        again = compile(documents, CEL, CATALOGUE, revision=3, previous=previous)
        assert told(again) == told(anew)
        if isinstance(again, Snapshot):
            previous = again


def told(compiled: Any) -> Any:
    if not isinstance(compiled, Snapshot):
        return sorted(map(str, compiled.problems))
    routers = {
        name: [
            (r.route_id, r.condition.source if r.condition else "", r.variants) for r in (*c.routes, c.default_route)
        ]
        for name, c in compiled.routers.items()
        if c.default_route is not None
    }
    return compiled.version, routers, compiled.models, compiled.providers, sorted(map(str, compiled.warnings))


def test_a_set_that_is_changed_in_place_is_not_taken_for_the_one_before() -> None:
    documents: dict[ResourceKey, Document] = {key_of(d): d for d in (Provider(name="one", type="openai"),)}
    first = compile(documents, CEL, CATALOGUE)
    assert isinstance(first, Snapshot)
    bad = Router(name="r")
    documents[key_of(bad)] = bad
    assert not isinstance(compile(documents, CEL, CATALOGUE, previous=first), Snapshot)
