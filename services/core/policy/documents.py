"""What operators write: the policy documents as immutable values.

Field by field the same as `protos/turnout/policy/v1/policy.proto`, where every
field is described; `tests/repo/test_documents.py` holds the two together and
`wire/policy.py` converts by field name. Durations are float seconds. None
means: not set, inherit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

# The documents about models, and about the choice among them, have files of their own, and their place here.
from services.core.policy.choosing import Learned as Learned  # noqa: PLC0414
from services.core.policy.choosing import MaxPrice as MaxPrice  # noqa: PLC0414
from services.core.policy.choosing import ModelSelection as ModelSelection  # noqa: PLC0414
from services.core.policy.choosing import ProviderPreference as ProviderPreference  # noqa: PLC0414
from services.core.policy.choosing import QualityFloor as QualityFloor  # noqa: PLC0414
from services.core.policy.choosing import SortRule as SortRule  # noqa: PLC0414
from services.core.policy.models import Capabilities as Capabilities  # noqa: PLC0414
from services.core.policy.models import Catalogue as Catalogue  # noqa: PLC0414
from services.core.policy.models import Model as Model  # noqa: PLC0414
from services.core.policy.models import PricePeriod as PricePeriod  # noqa: PLC0414
from services.core.policy.models import Prices as Prices  # noqa: PLC0414
from services.core.policy.models import PriceTier as PriceTier  # noqa: PLC0414
from services.core.policy.models import Scores as Scores  # noqa: PLC0414
from services.core.policy.watching import RecordFacts as RecordFacts  # noqa: PLC0414
from services.core.policy.watching import Shadow as Shadow  # noqa: PLC0414


@dataclass(frozen=True, slots=True)
class AdaptiveTtft:
    """A limit on the time to first content that follows the target's own speed; times in seconds."""

    p: float | None = None
    factor: float | None = None
    min: float | None = None
    max: float | None = None


@dataclass(frozen=True, slots=True)
class Clocks:
    """The clocks of an attempt, in seconds, and what counts for them; None: inherit from the level below."""

    connect: float | None = None
    headers: float | None = None
    first_event: float | None = None
    first_content: float | None = None
    idle: float | None = None
    total: float | None = None
    ttft: AdaptiveTtft | None = None
    min_tokens_per_second: float | None = None
    pings_are_activity: bool | None = None
    reasoning_is_content: bool | None = None


@dataclass(frozen=True, slots=True)
class RetryBudget:
    """Bound on the extra attempts of a worker."""

    ratio: float | None = None
    min_per_second: float | None = None


@dataclass(frozen=True, slots=True)
class Retry:
    """Retry rules; None: inherit. `max_wait` and `deadline` in seconds."""

    max_retries: int | None = None
    max_attempts: int | None = None
    max_wait: float | None = None
    deadline: float | None = None
    budget: RetryBudget | None = None


@dataclass(frozen=True, slots=True)
class Breaker:
    """When to stop calling a target that fails; times in seconds, None: inherit."""

    consecutive_failures: int | None = None
    open_for: float | None = None
    max_open_for: float | None = None
    error_rate: float | None = None
    min_requests: int | None = None
    window: float | None = None
    ramp: float | None = None


@dataclass(frozen=True, slots=True)
class Hedge:
    """A second attempt while the first one is silent; `after` is "p95" or a duration."""

    enabled: bool | None = None
    after: str = ""
    budget: float | None = None


@dataclass(frozen=True, slots=True)
class CommitAfter:
    """How long an answer is held back: until any of these is reached."""

    tokens: int | None = None
    ms: int | None = None
    sentence: bool | None = None


@dataclass(frozen=True, slots=True)
class OnExhausted:
    """What to do when every target is set aside; `max_wait` in seconds."""

    mode: str = ""
    max_wait: float | None = None
    max_len: int | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """A failure to rehearse; `delay` in seconds."""

    kind: str = ""
    status: int | None = None
    delay: float | None = None
    after_bytes: int | None = None
    percent: float | None = None
    header: str = ""
    models: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address of a provider."""

    name: str = ""
    base_url: str = ""
    credentials: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Provider:
    """A model provider that requests can be sent to."""

    name: str = ""
    type: str = ""
    base_url: str = ""
    credentials: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    clocks: Clocks | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    endpoints: tuple[Endpoint, ...] = ()
    breaker: Breaker | None = None
    fault: Fault | None = None
    voices: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MessageTemplate:
    """A message placed before the caller's."""

    role: str = ""
    content: str = ""


@dataclass(frozen=True, slots=True)
class Reasoning:
    """How much a model reasons before it answers."""

    effort: str = ""
    max_tokens: int | None = None
    exclude: bool | None = None


@dataclass(frozen=True, slots=True)
class TextGenerationConfig:
    """Generation parameters laid over the caller's request; None: the caller's own."""

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    stop_sequences: tuple[str, ...] = ()
    seed: int | None = None
    reasoning: Reasoning | None = None


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to serve a route."""

    variant_id: str = ""
    model_id: str = ""
    model_selection: ModelSelection | None = None
    text_generation_config: TextGenerationConfig | None = None
    message_templates: tuple[MessageTemplate, ...] = ()
    clocks: Clocks | None = None
    retry: Retry | None = None
    hedge: Hedge | None = None
    commit_after: CommitAfter | None = None
    recovery: str = ""
    on_exhausted: OnExhausted | None = None


@dataclass(frozen=True, slots=True)
class WeightedVariant:
    """A variant and its share of a route's traffic, in percent."""

    weight: int = 0
    variant: Variant | None = None


@dataclass(frozen=True, slots=True)
class Metric:
    """What an experiment measures; `margin` as a share of the control's value."""

    name: str = ""
    goal: str = ""
    role: str = ""
    of: str = ""
    margin: float | None = None


@dataclass(frozen=True, slots=True)
class Ramp:
    """A ramp that goes by itself; `hold` in seconds."""

    variant: str = ""
    steps: tuple[int, ...] = ()
    hold: float | None = None
    min_units: int | None = None
    paused: bool = False


@dataclass(frozen=True, slots=True)
class Experiment:
    """How the units of a route are assigned to its variants; `holdout` in percent."""

    unit: str = ""
    salt: str = ""
    layer: str = ""
    first_slot: int | None = None
    last_slot: int | None = None
    holdout: float | None = None
    control: str = ""
    metrics: tuple[Metric, ...] = ()
    ramp: Ramp | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """Weighted variants, of which each request is served by one."""

    route_id: str = ""
    variants: tuple[WeightedVariant, ...] = ()
    experiment: Experiment | None = None
    slots: tuple[str, ...] = ()
    former_slots: tuple[str, ...] = ()
    shadow: Shadow | None = None


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition over the request."""

    cel_expression: str = ""


@dataclass(frozen=True, slots=True)
class ConditionalRoute:
    """A rule: a condition and the route it leads to."""

    condition: Condition | None = None
    route: Route | None = None


@dataclass(frozen=True, slots=True)
class RouterDefaults:
    """Defaults of a router for all its variants."""

    message_templates: tuple[MessageTemplate, ...] = ()
    text_generation_config: TextGenerationConfig | None = None


@dataclass(frozen=True, slots=True)
class Router:
    """A routing policy."""

    name: str = ""
    display_name: str = ""
    routes: tuple[ConditionalRoute, ...] = ()
    default_route: Route | None = None
    defaults: RouterDefaults | None = None
    clocks: Clocks | None = None
    retry: Retry | None = None
    hedge: Hedge | None = None
    commit_after: CommitAfter | None = None
    recovery: str = ""
    on_exhausted: OnExhausted | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A caller's key, hashed."""

    name: str = ""
    hash: str = ""
    scopes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Alias:
    """Another name of a model."""

    name: str = ""
    model: str = ""


@dataclass(frozen=True, slots=True)
class Settings:
    """Deployment-wide defaults; the one document named "default"."""

    name: str = ""
    namespace: str = ""
    clocks: Clocks | None = None
    retry: Retry | None = None
    breaker: Breaker | None = None
    hedge: Hedge | None = None
    commit_after: CommitAfter | None = None
    recovery: str = ""
    on_exhausted: OnExhausted | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    require_labels: Mapping[str, str] = field(default_factory=dict)
    record_facts: RecordFacts | None = None


Document = Provider | Model | Router | ApiKey | Alias | Settings | Catalogue

KINDS: Mapping[str, type[Document]] = {
    "Provider": Provider,
    "Model": Model,
    "Router": Router,
    "ApiKey": ApiKey,
    "Alias": Alias,
    "Settings": Settings,
    "Catalogue": Catalogue,
}
"""Kind in the spelling of policy files, to its document type."""


@dataclass(frozen=True, slots=True, order=True)
class ResourceKey:
    """Where a document lives: its kind and its name."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"


def key_of(document: Document) -> ResourceKey:
    """Return the key under which `document` is stored."""
    return ResourceKey(type(document).__name__, document.name)
