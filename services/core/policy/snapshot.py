"""What workers read: the compiled policy, immutable, with every reference resolved.

A request pins one snapshot for its whole life; a policy change is a new
snapshot that replaces the old one in a single assignment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from services.core.errors import Problem
from services.core.policy.documents import (
    Capabilities,
    MessageTemplate,
    Prices,
    TextGenerationConfig,
)
from services.core.policy.ports import Catalogue, Condition


@dataclass(frozen=True, slots=True)
class ClockRule:
    """The six clocks of an attempt in seconds, all set (DESIGN: settings < provider < router < variant < request)."""

    connect: float = 2.0
    headers: float = 20.0
    first_event: float = 20.0
    first_content: float = 20.0
    idle: float = 30.0
    total: float = 600.0


@dataclass(frozen=True, slots=True)
class RetryRule:
    """Bounds of a request's attempts.

    Attributes:
        max_retries: Extra attempts on the same target, 0 to 10.
        max_attempts: Attempts in all, 1 to 20.
        max_wait: Longest wait between two attempts, seconds.
        deadline: Bound on the whole request, seconds from its arrival.
    """

    max_retries: int = 1
    max_attempts: int = 5
    max_wait: float = 3.0
    deadline: float = 600.0


@dataclass(frozen=True, slots=True)
class CompiledProvider:
    """A provider, ready to use. `base_url` is never empty and has no trailing slash."""

    name: str
    type: str
    base_url: str
    credentials: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    clocks: Mapping[str, float] = field(default_factory=dict)
    """Clocks that the provider sets itself, by name."""


@dataclass(frozen=True, slots=True)
class Target:
    """A model at a provider: what one attempt is sent to.

    Attributes:
        model: Id callers know, "provider/model".
        provider: The provider.
        upstream_model: The name that the provider knows the model by.
    """

    model: str
    provider: CompiledProvider
    upstream_model: str
    context_length: int = 0
    capabilities: Capabilities = Capabilities()
    prices: Prices = Prices()


@dataclass(frozen=True, slots=True)
class CompiledVariant:
    """A variant with its targets resolved, in the order in which they are tried."""

    variant_id: str
    weight: int
    targets: tuple[Target, ...]
    generation: TextGenerationConfig | None = None
    templates: tuple[MessageTemplate, ...] = ()
    clocks: Mapping[str, float] = field(default_factory=dict)
    """Clocks set by the router and the variant, merged, by name; provider clocks are below them."""


@dataclass(frozen=True, slots=True)
class CompiledRoute:
    """A route with its condition; `condition` None: the default route."""

    route_id: str
    condition: Condition | None
    variants: tuple[CompiledVariant, ...]


@dataclass(frozen=True, slots=True)
class CompiledRouter:
    """A router, ready to decide."""

    name: str
    display_name: str
    routes: tuple[CompiledRoute, ...]
    default_route: CompiledRoute | None
    retry: RetryRule
    reads_messages: bool
    """True: some condition reads `messages`, so callers of `decide` must provide them."""


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
        warnings: What is odd, but no reason to refuse the policy.
    """

    version: str
    revision: int
    namespace: str
    clocks: ClockRule
    settings_clocks: frozenset[str]
    """Which clocks the settings set, as against the built-in defaults."""
    retry: RetryRule
    providers: Mapping[str, CompiledProvider]
    models: Mapping[str, Target]
    routers: Mapping[str, CompiledRouter]
    aliases: Mapping[str, str]
    keys: Mapping[str, CompiledKey]
    bare_models: Mapping[str, tuple[str, ...]]
    catalogue: Catalogue
    warnings: tuple[Problem, ...] = ()
