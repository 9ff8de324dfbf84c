"""Checks of single documents: what can be said without looking at any other."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields

from services.core.errors import Problem
from services.core.policy.attempt_checks import (
    check_breaker,
    check_clocks,
    check_credentials,
    check_endpoints,
    check_fault,
    check_resilience,
)
from services.core.policy.documents import (
    Alias,
    ApiKey,
    Catalogue,
    Document,
    Model,
    ModelSelection,
    Provider,
    Route,
    Router,
    Settings,
    TextGenerationConfig,
    Variant,
    key_of,
)
from services.core.policy.experiments import check_experiment
from services.core.policy.learned_rules import check_learned
from services.core.policy.model_checks import check_facts
from services.core.policy.names import ID, PROVIDER, ROUTER, URL, VARIABLE, VOICE, split_model, valid_model
from services.core.policy.ports import METADATA_TYPES
from services.core.policy.preferences import METRICS, QUALITY, is_direction, metric_of
from services.core.policy.provider_types import APIS, PROVIDER_TYPES, base_url_of
from services.core.policy.shadows import check_shadow

SCOPES = ("inference", "read", "admin")
ROLES = ("system", "developer", "user", "assistant")
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh")
_HASH = re.compile(r"\Ablake2b:[0-9a-f]{64}\Z")
_HEADER = re.compile(r"\A[A-Za-z0-9!#$%&'*+.^_`|~-]+\Z")
_SECRET_HEADERS = {"authorization", "x-api-key", "api-key", "x-goog-api-key", "cookie", "proxy-authorization"}

Found = Iterator[tuple[str, str]]
"""(field path, message) pairs."""


def check(document: Document) -> list[Problem]:
    """Everything that is wrong with `document` by itself."""
    key = key_of(document)
    found = _CHECKS[key.kind](document)
    return [Problem(key.kind, key.name, path, message) for path, message in found]


def _provider(document: Provider) -> Found:
    if not PROVIDER.match(document.name):
        yield (
            "name",
            "expected lower-case letters, digits, dots, dashes or underscores, starting with a letter or digit",
        )
    if document.type not in PROVIDER_TYPES:
        yield (
            "type",
            f"expected one of the types that docs/policy.md lists, such as openai_compatible, got {document.type!r}",
        )
    elif not document.base_url and not document.endpoints and not base_url_of(document.type):
        yield "base_url", f"is required for the type {document.type}"
    if document.base_url and not URL.match(document.base_url):
        yield "base_url", "expected an address such as https://api.example.com/v1, without query and user name"
    yield from check_credentials(document.credentials, "credentials")
    # Sorted: protobuf maps come in another order in every process.
    for name, value in sorted(document.headers.items()):
        if not _HEADER.match(name) or any(c in value for c in "\r\n\0"):
            yield f"headers.{name}", "is not a valid HTTP header"
        if name.lower() in _SECRET_HEADERS:
            yield f"headers.{name}", "carries a secret; use credentials"
    yield from _voices(document.voices)
    yield from check_clocks(document.clocks, "clocks")
    yield from check_endpoints(document)
    yield from check_breaker(document.breaker, "breaker")
    yield from check_fault(document.fault, document.name)


def _voices(voices: Mapping[str, str]) -> Found:
    for name, voice in sorted(voices.items()):
        if not VOICE.match(name) or not VOICE.match(voice):
            yield f"voices.{name}", "expected two names of voices, such as alloy: Ashley"


def _model(document: Model) -> Found:
    provider, rest = split_model(document.name)
    if not provider or not rest or not valid_model(document.name):
        yield "name", "expected a model id, provider/model"
    if document.api and document.api not in APIS:
        yield "api", f"expected one of {', '.join(APIS)}, got {document.api!r}"
    yield from check_facts(document)


def _catalogue(document: Catalogue) -> Found:
    if not PROVIDER.match(document.name):
        yield "name", "expected a provider of the catalogue, such as openai"


def _metadata(metadata: Mapping[str, str]) -> Found:
    for name, kind in sorted(metadata.items()):
        if not VARIABLE.match(name) or name == "messages":
            yield f"metadata.{name}", "expected a name that a condition can read: letters, digits and underscores"
        if kind not in METADATA_TYPES:
            yield f"metadata.{name}", f"expected one of {', '.join(METADATA_TYPES)}, got {kind!r}"


def _router(document: Router) -> Found:
    if not ROUTER.match(document.name):
        yield "name", "expected lower-case letters, digits and dashes, starting with a letter or digit"
    if not document.routes and document.default_route is None:
        yield "", "has neither routes nor a default_route, so it could serve nothing"
    seen: set[str] = set()
    for index, rule in enumerate(document.routes):
        path = f"routes[{index}]"
        if rule.condition is None or not rule.condition.cel_expression.strip():
            yield f"{path}.condition.cel_expression", "is missing; use default_route for a route without a condition"
        if rule.route is None:
            yield f"{path}.route", "is missing"
        else:
            yield from _route(rule.route, f"{path}.route", seen)
    if document.default_route is not None:
        yield from _route(document.default_route, "default_route", seen)
    if document.defaults is not None:
        yield from _generation(document.defaults.text_generation_config, "defaults.text_generation_config")
        for index, template in enumerate(document.defaults.message_templates):
            if template.role not in ROLES:
                yield f"defaults.message_templates[{index}].role", f"expected one of {', '.join(ROLES)}"
    yield from check_clocks(document.clocks, "clocks")
    yield from check_resilience(document, "")
    yield from _metadata(document.metadata)


def _route(route: Route, path: str, seen: set[str]) -> Found:
    if route.route_id:
        if not ID.match(route.route_id):
            yield f"{path}.route_id", "expected letters, digits, dots, dashes or underscores"
        if route.route_id in seen:
            yield f"{path}.route_id", f"{route.route_id!r} is already the id of another route of this router"
        seen.add(route.route_id)
    if not route.variants:
        yield f"{path}.variants", "is empty"
        return
    for index, weighted in enumerate(route.variants):
        if not 0 <= weighted.weight <= 100:
            yield f"{path}.variants[{index}].weight", f"expected 0 to 100, got {weighted.weight}"
    total = sum(w.weight for w in route.variants)
    if total != 100:
        weights = " + ".join(str(w.weight) for w in route.variants)
        yield f"{path}.variants", f"weights must sum to exactly 100; {weights} is {total}"
    else:
        yield from check_experiment(route, path)
    yield from check_shadow(route.shadow, f"{path}.shadow")
    ids: set[str] = set()
    for index, weighted in enumerate(route.variants):
        where = f"{path}.variants[{index}].variant"
        if weighted.variant is None:
            yield where, "is missing"
        else:
            yield from _variant(weighted.variant, where, ids)


def _variant(variant: Variant, path: str, ids: set[str]) -> Found:
    if variant.variant_id:
        if variant.variant_id in ids:
            yield f"{path}.variant_id", f"{variant.variant_id!r} is already the id of another variant of this route"
        if not ID.match(variant.variant_id):
            yield f"{path}.variant_id", "expected letters, digits, dots, dashes or underscores"
        ids.add(variant.variant_id)
    yield from _selection(variant.model_selection, f"{path}.model_selection")
    yield from _generation(variant.text_generation_config, f"{path}.text_generation_config")
    yield from check_clocks(variant.clocks, f"{path}.clocks")
    yield from check_resilience(variant, f"{path}.")
    for number, template in enumerate(variant.message_templates):
        if template.role not in ROLES:
            yield f"{path}.message_templates[{number}].role", f"expected one of {', '.join(ROLES)}"


def _selection(selection: ModelSelection | None, path: str) -> Found:
    if selection is None:
        return
    for index, rule in enumerate(selection.sort):
        if not metric_of(rule.metric):
            yield f"{path}.sort[{index}].metric", f"expected one of {', '.join(METRICS)}, got {rule.metric!r}"
        if not is_direction(rule.direction):
            expected = "SORT_DIRECTION_ASCENDING or SORT_DIRECTION_DESCENDING"
            yield f"{path}.sort[{index}].direction", f"expected {expected}, got {rule.direction!r}"
    floor = selection.quality_floor
    if floor is not None and metric_of(floor.metric) not in QUALITY:
        yield f"{path}.quality_floor.metric", f"expected one of {', '.join(QUALITY)}, got {floor.metric!r}"
    if floor is not None and floor.delta is not None and not 0 <= floor.delta <= 1:
        yield f"{path}.quality_floor.delta", "expected a number from 0 to 1"
    yield from check_learned(selection, path)
    limit = selection.provider.max_price if selection.provider is not None else None
    for field in fields(limit) if limit is not None else ():
        value = getattr(limit, field.name)
        if value is not None and not 0 <= value < math.inf:
            yield f"{path}.provider.max_price.{field.name}", "expected a number that is not negative"


def _generation(config: TextGenerationConfig | None, path: str) -> Found:
    if config is None:
        return
    ranges = (
        ("max_tokens", config.max_tokens, 1, math.inf),
        ("temperature", config.temperature, 0, 2),
        ("top_p", config.top_p, 0, 1),
        ("frequency_penalty", config.frequency_penalty, -2, 2),
        ("presence_penalty", config.presence_penalty, -2, 2),
    )
    for name, value, low, high in ranges:
        # Written so that NaN is refused.
        if value is not None and not low <= value <= high:
            yield f"{path}.{name}", f"expected {low} to {high}" if high < math.inf else f"expected at least {low}"
    if len(config.stop_sequences) > 4:
        yield f"{path}.stop_sequences", "expected at most 4"
    if config.reasoning is not None and config.reasoning.effort not in {"", "unspecified", *EFFORTS}:
        yield f"{path}.reasoning.effort", f"expected one of {', '.join(EFFORTS)}"


def _api_key(document: ApiKey) -> Found:
    if not ID.match(document.name):
        yield "name", "expected letters, digits, dots, dashes or underscores"
    if not _HASH.match(document.hash):
        # The text may be a key that somebody pasted: it is not repeated.
        yield "hash", "expected blake2b: and 64 hex digits, as 'turnout keys create' prints; never the key itself"
    if not document.scopes:
        yield "scopes", f"is empty; expected some of {', '.join(SCOPES)}"
    for index, scope in enumerate(document.scopes):
        if scope not in SCOPES:
            yield f"scopes[{index}]", f"expected one of {', '.join(SCOPES)}, got {scope!r}"


def _alias(document: Alias) -> Found:
    if not valid_model(document.name):
        yield "name", "expected a model name without white space"
    if not valid_model(document.model):
        yield "model", "expected a model id, provider/model"


def _settings(document: Settings) -> Found:
    if document.name != "default":
        yield "name", 'there is one Settings document, named "default"'
    if document.namespace and not PROVIDER.match(document.namespace):
        yield "namespace", "expected lower-case letters, digits, dots, dashes or underscores"
    yield from check_clocks(document.clocks, "clocks")
    yield from check_breaker(document.breaker, "breaker")
    yield from check_resilience(document, "")
    yield from _metadata(document.metadata)
    for name, value in sorted(document.require_labels.items()):
        if not name.strip() or not value.strip():
            yield f"require_labels.{name}", "expected a label and its value, such as region: eu"
    for index, key in enumerate(document.record_facts.metadata_keys if document.record_facts is not None else ()):
        if not VARIABLE.match(key) or key == "messages":
            yield f"record_facts.metadata_keys[{index}]", "expected a key that a condition can read, such as language"


_CHECKS: dict[str, Callable[..., Found]] = {
    "Provider": _provider,
    "Model": _model,
    "Router": _router,
    "ApiKey": _api_key,
    "Alias": _alias,
    "Settings": _settings,
    "Catalogue": _catalogue,
}
