"""docs/errors.md: failure kinds from the disposition table, reasons from the error tree and the status table."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from google.protobuf.json_format import MessageToDict
from google.rpc import code_pb2

from services.core import errors
from services.core.attempts import breaker
from services.core.attempts.verdicts import TABLE, Harm, Verdict, caller_status, is_overload
from services.core.errors import ChainFailed, Failure, FailureKind, RouterError, UnknownModel
from services.core.policy.durations import format_duration
from services.core.policy.rules import BreakerRule, Recovery
from services.dataplane.dialects import anthropic_errors as anthropic_dialect
from services.dataplane.dialects import openai_errors as openai_dialect
from services.dataplane.providers import anthropic_errors, openai_errors
from services.dataplane.providers.google_wire import FAILED_REASONS, FINISH_REASONS
from services.wire.status import CODES, code_of, to_status
from tests.repo.pages.markdown import attribute_docs, code, head, json_block, prose, table

SOURCE = "core/attempts, core/policy/rules.py, core/errors.py, wire/status.py and the providers' error tables"


def page() -> str:
    return "\n".join(
        [
            head("Errors", SOURCE),
            prose(INTRO),
            "## When an attempt fails\n",
            _kinds(),
            prose(VERDICTS),
            _words(Verdict),
            prose(BUDGET),
            "## When an answer breaks\n",
            prose(BROKEN),
            _words(Recovery),
            prose(MENDED),
            "## What failures do to a target\n",
            prose(HARMS),
            _words(Harm),
            prose(BREAKERS),
            prose(_overload()),
            prose(SET_ASIDE),
            "## Which failure the caller sees\n",
            prose(SHOWN),
            "## How a provider's answer becomes a kind\n",
            prose(CLASSIFIED),
            _statuses(),
            prose(CODED),
            _codes(),
            prose(_google()),
            "## When a request cannot be served\n",
            prose(REASONS),
            _reasons(),
            prose(BRIDGE),
            "## What errors look like\n",
            _examples(),
        ]
    )


INTRO = """
    Two things can go wrong. An *attempt* at a provider fails, for a **failure kind**; what follows is decided by the
    first table. Or a *request* cannot be served, for a **reason**; the table of reasons is further down. Both words are
    stable over releases and appear in answers, records, spans and metrics.
"""

VERDICTS = "What *then* means, before the first content has reached the caller:"

BUDGET = """
    Retries, hedges, and failovers to a target that fails of late itself are extra load. They are paid from a
    [budget](policy.md#retrybudget); an attempt that it does not allow is left out, and the next target has its turn. A
    failover to a healthy target is free ([ADR 0013](adr/0013-failovers-to-healthy-targets-are-free.md)).
"""

BROKEN = """
    After the first content a failure cannot be hidden. What follows is up to `recovery`, in [Settings](policy.md#settings),
    [Router](policy.md#router) and [Variant](policy.md#variant):
"""

MENDED = """
    Two answers are never glued together: what cannot be mended ends with an error inside the stream, and without the
    terminal event of a good end. The error names what broke the answer, not what could not mend it. Only plain text is
    continued or resumed, and only callers that sent the header `x-turnout-restart: allow` are told to start over. A
    refusal of the content (CONTENT_REFUSED) ends it in any case.
"""

HARMS = "What *counts against* means:"

_RULE = BreakerRule()

BREAKERS = f"""
    Every target has a *breaker*, for each address and each credential of its provider, and so has every credential.
    {_RULE.consecutive_failures} failures in a row open it, and so do failures of {_RULE.error_rate:.0%} among at least
    {_RULE.min_requests} answers within {format_duration(_RULE.window)}. It stays open for
    {format_duration(_RULE.open_for)}; then a single attempt probes the target, while other requests go elsewhere. If the
    probe fails, it is open again, twice as long as before, but no longer than `max_open_for`
    ({format_duration(_RULE.max_open_for)}). Its first
    content closes the breaker. The target comes back with {breaker.MIN_SHARE:.0%} of its traffic, and has all of it after
    {format_duration(_RULE.ramp)}. These are the defaults of [`breaker`](policy.md#breaker). A rejected credential is set
    aside for {breaker.CREDENTIAL_SECONDS:g} s at least. Attempts that began before a breaker opened change nothing any
    more.
"""

SET_ASIDE = f"""
    A target that is set aside is tried last, never left out: when nothing else is left, `on_exhausted` says whether it
    is tried all the same, waited for, or the request refused
    ([ADR 0014](adr/0014-breakers-order-and-retry-after-forbids.md)). Only what a provider asked for is kept whatever
    happens: whoever sends a Retry-After is not called before that, by no request of the worker, for at most
    {breaker.MAX_PUSHBACK_SECONDS / 60:g} minutes. A rate limit without one lets the target rest for
    {breaker.PUSHBACK_SECONDS:g} s. Each worker keeps books of its own; `turnout health` shows them.
"""


def _overload() -> str:
    """What is said about shares."""
    kinds = ", ".join(kind.value for kind in FailureKind if is_overload(Failure(kind, "")))
    return f"""
        Some failures say that a target has too much to do ({kinds}). When they are {breaker.OVERLOAD_RATE:.0%} of its
        answers of late, and it has had {breaker.OVERLOAD_SAMPLES} at least, its *share* of traffic is cut by
        {1 - breaker.CUT:.0%}, at most once every {breaker.CUT_INTERVAL:g} s, and grows back {breaker.SLOW:g} times slower
        than after an opening. While it grows after an opening, {breaker.DEGRADED_FAILURES:g} of them are enough. Requests
        beyond its share find it behind the others.
    """


SHOWN = """
    When several attempts failed, one failure speaks for all of them: first one that the caller can mend
    (INVALID_REQUEST, REQUEST_TOO_LARGE, CONTENT_REFUSED, CONTEXT_TOO_LONG); a rate limit only if there was nothing else,
    and then the one with the shortest Retry-After; otherwise the last failure that was not of our own making. A request
    that a provider calls invalid keeps the provider's own status (such as 422) and its own words. An upstream 401, 402
    or 403 is never the caller's: the key that was refused is ours, so the answer is 502.

    When no attempt was made, because every target is set aside, it is RATE_LIMITED if the target that comes back soonest
    is one whose provider asked for that, else OVERLOADED. `retry-after` says how long that takes.
"""

CLASSIFIED = """
    By status and by the code fields of the body, not by words inside a message, which may quote a prompt; a few whole
    sentences of providers that send no code count as codes ([ADR 0005](adr/0005-whole-sentences.md)). Every other 5xx is
    SERVER_ERROR, every other 4xx is INVALID_REQUEST, and a redirect is BAD_RESPONSE.
"""

CODED = "Codes in the body that say more than the status (OpenAI: `code`, then `type`; Anthropic: `error.type`):"

REASONS = """
    The HTTP status is what callers of the bridge see; the gRPC code is what callers of the gRPC services see. A status
    carries a `google.rpc.ErrorInfo` with the domain `turnout`, the reason, and what the message names as metadata.
"""

BRIDGE = """
    The bridge refuses what is not proper HTTP before any of this: 400 (malformed, or not exactly one Host), 404 (no such
    path), 405 (other methods are in `Allow`), 408 (the body stopped arriving), 413 (the body is too large), 415 (an
    encoded body), 431 (headers too many or too large).
"""

AROUND = """
    The bodies of both APIs also carry `metadata` with every attempt, as good answers do (a provider's own error body
    that `/v1/messages` passes on does not). `retry-after` is set where waiting helps. The header `x-generation-id`
    names the request in every answer of a worker, good or bad: `turnout logs` shows it at the end of each line.
"""


def _kinds() -> str:
    rows = []
    for kind, row in TABLE.items():
        failure = Failure(kind, "")
        grpc = code_pb2.Code.Name(code_of(ChainFailed("", failure=failure, status=caller_status(failure))))
        shown = [code(kind.value), row.meaning, code(row.verdict.value), code(row.harm.value), str(row.status)]
        rows.append([*shown, code(grpc)])
    return table(["kind", "what happened", "then", "counts against", "HTTP", "gRPC"], rows)


def _words(kind: type[Verdict | Harm | Recovery]) -> str:
    docs = attribute_docs(kind)
    rows = [[code(word.value), docs.get(word.name, "Nothing: it says nothing about health.")] for word in kind]
    return table(["word", "meaning"], rows)


def _statuses() -> str:
    ours, theirs = openai_errors.BY_STATUS, anthropic_errors.BY_STATUS
    rows = []
    for status in sorted({*ours, *theirs}):
        rows.append([str(status), code(str(ours.get(status, ""))), code(str(theirs.get(status, "")))])
    return table(["status", "OpenAI protocol", "Anthropic protocol"], rows)


def _codes() -> str:
    rows = []
    for kind in FailureKind:
        found = [
            ", ".join(code(word) for word, meant in words.items() if meant is kind)
            for words in (openai_errors.BY_CODE, anthropic_errors.BY_TYPE)
        ]
        if any(found):
            rows.append([code(kind.value), *found])
    return table(["kind", "OpenAI protocol", "Anthropic protocol"], rows)


def _google() -> str:
    """What is said about Google's answers."""
    failing, words = (", ".join(code(word) for word in sorted(found)) for found in (FAILED_REASONS, _filtered()))
    return f"""
        Google's errors (AI Studio and Vertex AI) are read by the table of the OpenAI protocol: by status, by the `reason`
        of their details, and by `status`; `RetryInfo` says how long to wait. A prompt that was blocked (`promptFeedback`)
        is CONTENT_REFUSED; callers of Google's API get such a refusal, whoever made it, as an answer. An answer that ends with {words} is an answer with the finish reason content_filter; one that
        ends with {failing} is none, but SERVER_ERROR (UNSUPPORTED where a signature is missing). Claude on Vertex AI
        has Google's errors where the platform refuses, and Anthropic's where the model does.
    """


def _filtered() -> list[str]:
    return [word for word, finish in FINISH_REASONS.items() if finish == "content_filter"]


def meanings() -> dict[str, str]:
    """What each error class means, from the tree in the module's docstring."""
    tree = re.findall(r"^ *[├└] (\w+) +(.+)$", errors.__doc__ or "", re.MULTILINE)
    return {name: re.sub(r" \([^()]*\)(?=;|$)|; `\.\w+`", "", meaning) for name, meaning in tree}


def _reasons() -> str:
    told = meanings()
    rows = [
        [code(kind.reason), told[kind.__name__], str(kind.http_status), code(code_pb2.Code.Name(value))]
        for kind, value in CODES.items()
    ]
    rows.append([code(ChainFailed.reason), told["ChainFailed"], "as above", "as above"])
    return table(["reason", "meaning", "HTTP", "gRPC"], sorted(rows))


def _examples() -> str:
    failure = Failure(FailureKind.OVERLOADED, "the provider answered 503 (server_error)", status=503)
    told = "all 2 attempts failed; the most telling: the provider answered 503 (server_error)"
    failed = ChainFailed(told, failure=failure, status=caller_status(failure), fields={"attempts": "2"})
    unknown = UnknownModel("nothing serves the model 'openai/gpt-6'; did you mean 'openai/gpt-5'?")
    return "\n".join(
        [
            prose(
                "`/v1/chat/completions`; `code` is the kind or the reason in lower case, or OpenAI's own word for it:"
            ),
            json_block(_body(openai_dialect.error_body, failed)),
            prose("`/v1/messages`:"),
            json_block(_body(anthropic_dialect.error_body, failed)),
            prose(
                "`/router/v1/…` and the gRPC services; `message`, `code` and `details` are those of `google.rpc.Status`:"
            ),
            json_block(_status(unknown)),
            prose(AROUND),
        ]
    )


def _body(write: Any, error: RouterError) -> Any:
    return msgspec.json.decode(write(error, None))


def _status(error: RouterError) -> Any:
    return MessageToDict(to_status(error))
