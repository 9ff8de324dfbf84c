"""What workers read: the compiled policy, immutable, with every reference resolved.

A request pins one snapshot for its whole life; a policy change is a new
snapshot that replaces the old one in a single assignment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from services.core.errors import Problem
from services.core.policy.documents import (
    Capabilities,
    Document,
    MessageTemplate,
    Prices,
    ResourceKey,
    Scores,
    TextGenerationConfig,
)
from services.core.policy.experiments import ExperimentRule
from services.core.policy.ports import Condition, ModelCatalogue
from services.core.policy.preferences import NO_PREFERENCES, LabelDemand, Preferences
from services.core.policy.route_index import RouteIndex
from services.core.policy.rules import BreakerRule, ClockRule, FaultRule, Resilience
from services.core.pricing import PriceSpan


@dataclass(frozen=True, slots=True)
class CompiledEndpoint:
    """One address of a provider. `base_url` is never empty and has no trailing slash; `name` is "" when there is one."""

    name: str
    base_url: str
    credentials: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CompiledProvider:
    """A provider, ready to use. `base_url` is never empty and has no trailing slash.

    Attributes:
        protocol: What it speaks; empty: as the type is called.
        endpoints: Every address, when there are several; empty: `base_url` with `credentials` is the only one.
        voices: What it calls the voices of callers.
    """

    name: str
    type: str
    base_url: str
    credentials: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    clocks: Mapping[str, Any] = field(default_factory=dict)
    """Clocks that the provider sets itself, by name."""
    endpoints: tuple[CompiledEndpoint, ...] = ()
    breaker: BreakerRule = BreakerRule()
    fault: FaultRule | None = None
    protocol: str = ""
    voices: Mapping[str, str] = field(default_factory=dict)
    addresses: tuple[CompiledEndpoint, ...] = field(init=False, repr=False, compare=False)
    """Every address; at least one."""

    def __post_init__(self) -> None:
        # Every request reads it several times.
        addresses = self.endpoints or (CompiledEndpoint("", self.base_url, self.credentials),)
        object.__setattr__(self, "addresses", addresses)
        object.__setattr__(self, "protocol", self.protocol or self.type)


@dataclass(frozen=True, slots=True)
class Target:
    """A model at a provider: what one attempt is sent to.

    Attributes:
        model: Id callers know, "provider/model".
        provider: The provider.
        upstream_model: The name that the provider knows the model by.
        api: The provider's API that it is called by; empty: the caller's own where the provider speaks it.
        spans: Prices that hold in place of `prices` at some times.
        max_output_tokens: Most tokens of one answer; 0: unknown.
        kind: What it is, as in `CatalogueEntry`.
        released: Day it came out, YYYY-MM-DD; empty: unknown.
    """

    model: str
    provider: CompiledProvider
    upstream_model: str
    context_length: int = 0
    capabilities: Capabilities = Capabilities()
    prices: Prices = Prices()
    api: str = ""
    spans: tuple[PriceSpan, ...] = ()
    max_output_tokens: int = 0
    display_name: str = ""
    kind: str = "chat"
    released: str = ""
    scores: Scores = Scores()


@dataclass(frozen=True, slots=True)
class ShadowRule:
    """A candidate that a share of a route's answered requests is sent to as well; bounds hold for each worker.

    Attributes:
        percent: Of the requests, 0 to 100.
        max_per_second: Most shadows a second.
        max_cost_per_hour: Most that an hour's shadows may cost, in US dollars; 0.0: any.
    """

    target: Target
    percent: float = 1.0
    max_per_second: float = 1.0
    max_cost_per_hour: float = 1.0


@dataclass(frozen=True, slots=True)
class CompiledVariant:
    """A variant with its targets resolved, in the order in which they are tried unless `preferences` sort them.

    Attributes:
        auto: Its models are chosen for each request, among `entries`; empty: among all. It has no `targets`.
        left_out: What its own preferences rule out: model, and why.
        places: By model: which of its fallbacks it belongs to, from 1; not there: to its first model.
    """

    variant_id: str
    weight: int
    targets: tuple[Target, ...]
    generation: TextGenerationConfig | None = None
    templates: tuple[MessageTemplate, ...] = ()
    clocks: Mapping[str, Any] = field(default_factory=dict)
    """Clocks set by the router and the variant, merged, by name; provider clocks are below them."""
    resilience: Resilience = Resilience()
    preferences: Preferences = NO_PREFERENCES
    auto: bool = False
    entries: tuple[str, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()
    places: Mapping[str, int] = field(default_factory=dict)

    def place_of(self, model: str) -> int:
        """Which of the models that the variant names `model` is."""
        return self.places.get(model, 0)


@dataclass(frozen=True, slots=True)
class CompiledRoute:
    """A route with its condition; `condition` None: the default route."""

    route_id: str
    condition: Condition | None
    variants: tuple[CompiledVariant, ...]
    experiment: ExperimentRule = ExperimentRule()
    edges: tuple[int, ...] = ()
    """Slots at which the owner changes, rising; one fewer than `owners`."""
    owners: tuple[int, ...] = (0,)
    """Index of the variant that owns the slots before each edge, and behind the last one."""
    shadow: ShadowRule | None = None


@dataclass(frozen=True, slots=True)
class CompiledRouter:
    """A router, ready to decide."""

    name: str
    display_name: str
    routes: tuple[CompiledRoute, ...]
    default_route: CompiledRoute | None
    reads_messages: bool
    """True: some condition reads `messages`, so callers of `decide` must provide them."""
    types: Mapping[str, str] = field(default_factory=dict)
    """Declared types of metadata, by name: the settings' and its own."""
    learns: bool = False
    """True: some variant chooses by what was learned, so callers of `decide` must say what the request is like."""
    index: RouteIndex | None = None
    """Which routes a request can match at all; None: there are too few to be worth it."""
    named: Mapping[str, Target] = field(default_factory=dict, repr=False, compare=False)
    """Every target that its variants name, by model id."""

    @property
    def all_routes(self) -> tuple[CompiledRoute, ...]:
        """The routes in their order, the default route last."""
        return self.routes if self.default_route is None else (*self.routes, self.default_route)


@dataclass(frozen=True, slots=True)
class CompiledKey:
    """A caller's key: its name and what it may do."""

    name: str
    scopes: frozenset[str]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One compiled policy.

    Attributes:
        version: Content id: equal documents give an equal version on every machine.
        revision: Store revision of the newest document; 0: not from a store.
        namespace: Word before the slash in `model: "<namespace>/<router>"`.
        keys: API keys by hash ("blake2b:<hex>").
        models: Targets by model id, for every model that policy names; `resolve.py` makes the others.
        bare_models: Model ids by bare name, for the models in `models`.
        catalogue: Where prices and limits of models that policy does not name come from.
        kept_metadata: Keys of the metadata whose values records keep.
        demands: Labels that the provider of every target must have.
        warnings: What is odd, but no reason to refuse the policy.
    """

    version: str
    revision: int
    namespace: str
    clocks: ClockRule
    types: Mapping[str, str]
    """Declared types of metadata, by name."""
    settings_clocks: frozenset[str]
    """Which clocks the settings set, as against the built-in defaults."""
    resilience: Resilience
    """What settings say about attempts; a route's variants have their own."""
    providers: Mapping[str, CompiledProvider]
    models: Mapping[str, Target]
    routers: Mapping[str, CompiledRouter]
    aliases: Mapping[str, str]
    keys: Mapping[str, CompiledKey]
    bare_models: Mapping[str, tuple[str, ...]]
    catalogue: ModelCatalogue
    demands: tuple[LabelDemand, ...] = ()
    kept_metadata: tuple[str, ...] = ()
    warnings: tuple[Problem, ...] = ()
    sources: Mapping[ResourceKey, Document] = field(default_factory=dict, repr=False, compare=False)
    """The documents that it was compiled from; the next compilation reuses what is still the same."""
    reads_messages: bool = field(init=False, repr=False, compare=False)
    """Some router reads messages: for a condition, or to learn of them."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "reads_messages", any(r.reads_messages or r.learns for r in self.routers.values()))
