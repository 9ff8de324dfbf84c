"""The compiler's promises that no single pair of files shows: reuse, order, purity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from services.core.policy.compile import Problems, compile
from services.core.policy.documents import Document, ResourceKey
from services.core.policy.ports import Condition, ConditionProblem
from services.core.policy.snapshot import Snapshot
from tests.support.policies import CONDITIONS, SmallCatalogue, documents_in

POLICY = """
- {kind: Provider, name: openai, type: openai}
- {kind: Model, name: openai/house, upstream_model: gpt-5}
- {kind: Alias, name: a, model: b}
- {kind: Alias, name: b, model: openai/house}
- kind: Router
  name: one
  routes:
  - condition: {cel_expression: 'tier == "gold"'}
    route: {route_id: x, variants: [{weight: 100, variant: {model_id: openai/gpt-5}}]}
  - condition: {cel_expression: 'tier == "tin"'}
    route: {route_id: y, variants: [{weight: 100, variant: {model_id: openai/gpt-5}}]}
- kind: Router
  name: two
  routes:
  - condition: {cel_expression: 'tier == "gold"'}
    route: {route_id: x, variants: [{weight: 100, variant: {model_id: openai/gpt-5-mini}}]}
"""


class Counting:
    """Compiles conditions and notes which."""

    def __init__(self) -> None:
        self.compiled: list[str] = []

    def __call__(self, expression: str, types: Mapping[str, str] | None = None) -> Condition | ConditionProblem:
        self.compiled.append(expression)
        return CONDITIONS(expression, types or {})


def compiled(
    documents: dict[ResourceKey, Document], conditions: Counting, previous: Snapshot | None = None
) -> Snapshot:
    found = compile(documents, conditions, SmallCatalogue(), previous=previous)
    assert isinstance(found, Snapshot), found
    return found


def test_each_expression_is_compiled_once_however_many_routes_have_it() -> None:
    conditions = Counting()
    compiled(documents_in(POLICY), conditions)
    assert sorted(conditions.compiled) == ['tier == "gold"', 'tier == "tin"']


def test_a_change_of_one_route_compiles_one_condition() -> None:
    before, after = Counting(), Counting()
    old = compiled(documents_in(POLICY), before)
    new = compiled(documents_in(POLICY.replace("tin", "lead")), after, old)
    assert after.compiled == ['tier == "lead"']
    assert new.routers["one"].routes[0].condition is old.routers["one"].routes[0].condition


def test_a_route_of_before_that_has_no_condition_has_none_to_reuse() -> None:
    documents = documents_in(POLICY)
    previous = compiled(documents, Counting())
    router = previous.routers["one"]
    bare = replace(router, routes=tuple(replace(route, condition=None) for route in router.routes))
    conditions = Counting()
    # Another alias: routers may refer to it, so they are compiled anew.
    more = documents_in(POLICY + "- {kind: Alias, name: c, model: b}\n")
    compiled(more, conditions, replace(previous, routers={"one": bare}))
    assert sorted(conditions.compiled) == ['tier == "gold"', 'tier == "tin"']


def test_the_order_of_documents_changes_nothing() -> None:
    documents = documents_in(POLICY)
    turned = dict(reversed(list(documents.items())))
    catalogue = SmallCatalogue()
    one, other = compile(documents, CONDITIONS, catalogue), compile(turned, CONDITIONS, catalogue)
    assert isinstance(one, Snapshot)
    assert isinstance(other, Snapshot)
    assert (one.version, one.aliases, one.models, one.bare_models) == (
        other.version,
        other.aliases,
        other.models,
        other.bare_models,
    )


def test_a_snapshot_knows_every_model_that_its_policy_names() -> None:
    found = compiled(documents_in(POLICY), Counting())
    assert set(found.models) == {"openai/house", "openai/gpt-5", "openai/gpt-5-mini"}
    assert found.bare_models == {"house": ("openai/house",)}


def test_problems_are_all_there_and_at_least_one_is_no_warning() -> None:
    documents = documents_in("- {kind: Alias, name: a, model: x}\n- {kind: Alias, name: b, model: y}")
    found = compile(documents, CONDITIONS, SmallCatalogue())
    assert isinstance(found, Problems)
    assert [problem.name for problem in found.problems] == ["a", "b"]


def test_compiling_leaves_the_documents_and_the_previous_snapshot_as_they_were() -> None:
    documents = documents_in(POLICY)
    previous = compiled(documents, Counting())
    before = repr(documents), repr(previous.routers)
    compiled(documents, Counting(), previous)
    assert (repr(documents), repr(previous.routers)) == before
