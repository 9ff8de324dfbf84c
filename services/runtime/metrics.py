"""Prometheus metrics, cheap enough for the hot path: what requests count is kept as plain numbers (`tallies.py`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from services.runtime.listening import check_listen
from services.runtime.names import METRIC_MEANINGS, Metric
from services.runtime.tallies import CounterTally, HistogramTally

SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
"""Buckets of the OpenTelemetry GenAI conventions."""


_Pair = tuple[Callable[[float], None], Callable[[float], None]]
"""What takes two amounts that are always counted together."""


class _Family:
    """A metric that any thread may write, and by label values what takes an amount: to add it or to set it."""

    def __init__(self, metric: Counter | Gauge) -> None:
        self._metric = metric
        self._takers: dict[tuple[str, ...], Callable[[float], None]] = {}

    def of(self, *labels: str) -> Callable[[float], None]:
        found = self._takers.get(labels)
        if found is None:
            found = self._takers[labels] = _taker(self._metric.labels(*labels))
        return found


def _taker(child: Counter | Gauge) -> Callable[[float], None]:
    return child.inc if isinstance(child, Counter) else child.set


class Metrics:
    """The metrics of one process. Only its event loop's thread may write them, but for `spans`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._requests = self._counter("turnout_requests_total", "api", "router", "outcome", "status")
        self._durations = self._histogram("turnout_request_duration_seconds", "api", "stream")
        self._first_tokens = self._histogram("turnout_time_to_first_token_seconds", "api")
        self._first_sounds = self._histogram("turnout_time_to_first_audio_seconds", "api")
        self._attempts = self._counter("turnout_attempts_total", "provider", "result")
        self._attempt_durations = self._histogram("turnout_attempt_duration_seconds", "provider")
        self._tokens = self._counter("turnout_tokens_total", "provider", "class")
        self._costs = self._counter("turnout_cost_usd_total", "provider")
        self._shadows = self._counter("turnout_shadows_total", "router", "result")
        self._shadow_costs = self._counter("turnout_shadow_cost_usd_total", "router")
        self._json_answers = self._counter("turnout_json_answers_total", "router", "provider", "result")
        self._http = self._counter("turnout_http_requests_total", "route", "status")
        self._spans = self._shared_counter("turnout_spans_total", "result")
        self._hedges = self._counter("turnout_hedges_total", "result")
        self._mended = self._counter("turnout_mended_total", "kind")
        self._refusals = self._counter("turnout_budget_refusals_total", "kind")
        self._openings = self._counter("turnout_breaker_openings_total", "provider")
        self._breakers = _Family(self._gauge("turnout_breakers_open", "provider"))
        self._with_breakers: set[str] = set()
        self.in_flight = self._gauge("turnout_requests_in_flight")
        self.policy_revision = self._gauge("turnout_policy_revision")
        self.tables = self._gauge("turnout_learned_tables")
        self.tables_age = self._gauge("turnout_learned_tables_age_seconds")
        nacks: Metric = "turnout_policy_nacks_total"
        self.policy_nacks = Counter(nacks, METRIC_MEANINGS[nacks], registry=registry)
        lost: Metric = "turnout_outcomes_lost_total"
        self.outcomes_lost = Counter(lost, METRIC_MEANINGS[lost], registry=registry)

        # What every request counts, by all of its labels: one look instead of one for each amount.
        self._of_requests: dict[tuple[tuple[str, str, str, int], bool], _Pair] = {}
        self._of_attempts: dict[tuple[str, str], _Pair] = {}
        self._of_tokens: dict[str, _Pair] = {}

    def request(self, labels: tuple[str, str, str, int], *, stream: bool, seconds: float) -> None:
        """Count a finished request; `labels` are api, router, outcome and status."""
        found = self._of_requests.get((labels, stream))
        if found is None:
            api, router, outcome, status = labels
            counted = self._requests.of(api, router, outcome, f"{status // 100}xx")
            found = counted, self._durations.of(api, "true" if stream else "false")
            self._of_requests[labels, stream] = found
        counted, lasted = found
        counted(1)
        lasted(seconds)

    def first_token(self, api: str, seconds: float) -> None:
        """Note a time to first token."""
        self._first_tokens.of(api)(seconds)

    def first_audio(self, api: str, seconds: float) -> None:
        """Note a time to the first sound of an answer that is spoken."""
        self._first_sounds.of(api)(seconds)

    def attempt(self, provider: str, result: str, seconds: float) -> None:
        """Count an attempt; `result` is OK or its failure kind."""
        found = self._of_attempts.get((provider, result))
        if found is None:
            found = self._attempts.of(provider, result), self._attempt_durations.of(provider)
            self._of_attempts[provider, result] = found
        counted, lasted = found
        counted(1)
        lasted(seconds)

    def usage(self, provider: str, tokens: tuple[int, int], cost_usd: float | None) -> None:
        """Count tokens (input, output) and cost."""
        found = self._of_tokens.get(provider)
        if found is None:
            found = self._of_tokens[provider] = self._tokens.of(provider, "input"), self._tokens.of(provider, "output")
        given, made = found
        given(tokens[0])
        made(tokens[1])
        if cost_usd:
            self._costs.of(provider)(cost_usd)

    def shadow(self, router: str, result: str) -> None:
        """Count a shadow: how it ended, or why it was not sent."""
        self._shadows.of(router, result)(1)

    def shadow_cost(self, router: str, cost_usd: float | None) -> None:
        """Count what a shadow cost."""
        if cost_usd:
            self._shadow_costs.of(router)(cost_usd)

    def json_answer(self, router: str, provider: str, *, invalid: bool) -> None:
        """Count an answer that was to be JSON: whether it is."""
        self._json_answers.of(router, provider, "invalid" if invalid else "valid")(1)

    def hedge(self, result: str) -> None:
        """Count a hedge: started, won or refused."""
        self._hedges.of(result)(1)

    def mended(self, kind: str) -> None:
        """Count a broken answer that was mended: continue, resume or restart."""
        self._mended.of(kind)(1)

    def refused(self, kind: str) -> None:
        """Count an extra attempt of `kind` that a budget did not allow."""
        self._refusals.of(kind)(1)

    def opened(self, provider: str) -> None:
        """Count the opening of a breaker."""
        self._openings.of(provider)(1)

    def open_breakers(self, counts: Mapping[str, int]) -> None:
        """Set how many breakers are open, by provider; one that is not named has none."""
        self._with_breakers.update(counts)
        for provider in self._with_breakers:
            self._breakers.of(provider)(counts.get(provider, 0))

    def http(self, route: str, status: int) -> None:
        """Count an HTTP request of the bridge."""
        self._http.of(route, f"{status // 100}xx")(1)

    def spans(self, result: str, count: int) -> None:
        """Count spans: exported, dropped or failed. For any thread."""
        self._spans.of(result)(count)

    def _counter(self, name: Metric, *labels: str) -> CounterTally:
        return CounterTally(name, METRIC_MEANINGS[name], labels, self.registry)

    def _histogram(self, name: Metric, *labels: str) -> HistogramTally:
        return HistogramTally(name, METRIC_MEANINGS[name], labels, SECONDS, self.registry)

    def _shared_counter(self, name: Metric, *labels: str) -> _Family:
        return _Family(Counter(name, METRIC_MEANINGS[name], labels, registry=self.registry))

    def _gauge(self, name: Metric, *labels: str) -> Gauge:
        return Gauge(name, METRIC_MEANINGS[name], labels, registry=self.registry)


class LearningMetrics:
    """Metrics of a replica of the control plane that learns."""

    def __init__(self, registry: CollectorRegistry) -> None:
        decisions: Metric = "turnout_learning_decisions_total"
        self._decisions = _Family(Counter(decisions, METRIC_MEANINGS[decisions], ("result",), registry=registry))
        duration: Metric = "turnout_learning_duration_seconds"
        self._duration = Histogram(duration, METRIC_MEANINGS[duration], registry=registry, buckets=SECONDS)
        tables: Metric = "turnout_learning_tables"
        self._tables = Gauge(tables, METRIC_MEANINGS[tables], registry=registry)

    def decisions(self, result: str, count: int) -> None:
        """Count decisions that workers reported: kept or refused."""
        self._decisions.of(result)(count)

    def learned(self, seconds: float) -> None:
        """Note how long it took to learn a table."""
        self._duration.observe(seconds)

    def tables(self, count: int) -> None:
        """Set how many tables are on show."""
        self._tables.set(count)


def serve_metrics(port: int, registry: CollectorRegistry) -> None:
    """Serve a registry to Prometheus at `port`, until the process ends; 0: nowhere.

    Raises:
        CannotListen: The port is taken.
    """
    if port:
        # On every address: who may read metrics is for the network to say.
        check_listen("0.0.0.0", port)  # noqa: S104
        start_http_server(port, "0.0.0.0", registry=registry)  # noqa: S104
