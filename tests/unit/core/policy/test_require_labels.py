"""Labels that settings demand of every target, as the compiler sees them."""

from __future__ import annotations

from services.core.policy.compile import Problems
from services.core.policy.snapshot import Snapshot
from tests.support.policies import compiled, snapshot_of

PROVIDERS = """
- {kind: Provider, name: eu, type: openai_compatible, base_url: 'http://eu', labels: {region: eu}}
- {kind: Provider, name: us, type: openai_compatible, base_url: 'http://us'}
"""
DEMAND = "- {kind: Settings, name: default, require_labels: {region: EU}}"


def _router(model: str, more: str = "") -> str:
    return f"""
- kind: Router
  name: r
  default_route: {{variants: [{{weight: 100, variant: {{model_id: {model}{more}}}}}]}}
"""


def _told(found: Snapshot | Problems) -> list[tuple[str, str, str, bool]]:
    problems = found.problems if isinstance(found, Problems) else found.warnings
    return [(p.kind, p.field, p.message, p.warning) for p in problems]


def test_a_route_that_is_left_without_a_model_is_refused_with_its_path() -> None:
    found = compiled(PROVIDERS + DEMAND + _router("us/m"))
    told = "leaves no model (us/m: require_labels.region: the label 'region' of us is not set)"
    assert isinstance(found, Problems)
    assert _told(found) == [("Router", "default_route.variants[0].variant.model_selection", told, False)]
    assert isinstance(compiled(PROVIDERS + _router("us/m")), Snapshot)


def test_a_route_keeps_what_meets_the_demand_and_says_what_it_left_out() -> None:
    found = snapshot_of(PROVIDERS + DEMAND + _router("us/m", ", model_selection: {models: [eu/m]}"))
    route = found.routers["r"].default_route
    assert route is not None
    assert [t.model for t in route.variants[0].targets] == ["eu/m"]
    assert [model for model, _ in route.variants[0].left_out] == ["us/m"]


def test_an_automatic_choice_that_is_left_without_a_model_is_a_warning() -> None:
    models = "- {kind: Model, name: us/m}\n"
    found = compiled(PROVIDERS + models + DEMAND + _router("auto"))
    assert isinstance(found, Snapshot)
    (warning,) = _told(found)
    assert warning[:2] == ("Router", "default_route.variants[0].variant.model_selection")
    assert "leaves no model to an automatic choice now (us/m: require_labels.region" in warning[2]
    assert _told(compiled(PROVIDERS + models + "- {kind: Model, name: eu/m}\n" + DEMAND + _router("auto"))) == []


def test_a_demand_that_no_provider_meets_is_told() -> None:
    found = compiled(PROVIDERS + "- {kind: Settings, name: default, require_labels: {zdr: 'true'}}")
    ((kind, field, message, warning),) = _told(found)
    assert (kind, field, warning) == ("Settings", "require_labels", True)
    assert message.startswith("no provider has them all (require_labels.zdr: the label 'zdr' of eu is not set")


def test_a_label_without_a_value_is_refused() -> None:
    found = compiled(PROVIDERS + "- {kind: Settings, name: default, require_labels: {region: ' '}}")
    assert isinstance(found, Problems)
    assert ("Settings", "require_labels.region") in [(p.kind, p.field) for p in found.problems]


def test_a_changed_demand_compiles_routers_anew() -> None:
    from services.core.policy.compile import compile
    from tests.support.policies import CONDITIONS, SmallCatalogue, documents_in

    before = snapshot_of(PROVIDERS + _router("eu/m", ", model_selection: {models: [us/m]}"))
    documents = {**before.sources, **documents_in(DEMAND)}
    after = compile(documents, CONDITIONS, SmallCatalogue(), previous=before)
    assert isinstance(after, Snapshot)
    route = after.routers["r"].default_route
    assert route is not None
    assert [t.model for t in route.variants[0].targets] == ["eu/m"]
