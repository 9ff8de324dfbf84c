"""What the translations of operations have in common, and the one for answers that are JSON.

A translation is put together from two halves: `Upstream` says what is sent and what an error means,
a reader what the answer says. Which halves go together is the registry's business (`registry.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from services.core.errors import Failure, FailureKind, RouterError
from services.core.policy.snapshot import Target
from services.core.routing.plan import Candidate
from services.dataplane.members import Members, join_members, put_cost, raw
from services.dataplane.translation import CALLERS_FAULT, JSON, Evidence, Facts, Progress, TokenUsage
from services.dataplane.transport.port import UpstreamRequest

NOT_STREAMED = Failure(FailureKind.BAD_RESPONSE, "this answer does not come as a stream")


@dataclass(frozen=True, slots=True)
class Upstream:
    """One half of a translation: what goes to the provider, and what its refusals mean.

    Attributes:
        request: Makes the request, with the credential.
        classify: Names the failure behind an error status.
        same_words: The provider's error bodies are of the caller's dialect.
    """

    request: Callable[[str], UpstreamRequest]
    classify: Callable[[int, Mapping[str, str], bytes], Failure]
    same_words: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer in the caller's dialect, without evidence."""

    members: Members
    usage: TokenUsage | None = None
    response_id: str = ""


ReadAnswer = Callable[[bytes, Mapping[str, str]], Answer | Failure]
"""Reads a whole answer from its body and its headers."""


class OperationTranslation:
    """Base of one attempt at an operation; what a kind of answer cannot do fails here."""

    stream_type = ""
    answer_type = JSON

    def __init__(self, upstream: Upstream, candidate: Candidate, warnings: list[str]) -> None:
        self.facts = Facts(warnings=warnings)
        self.candidate = candidate
        self.upstream = upstream

    def request(self, credential: str) -> UpstreamRequest | None:
        return self.upstream.request(credential)

    def failure(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        failure = self.upstream.classify(status, headers, body)
        if self.upstream.same_words or failure.kind in CALLERS_FAULT:
            return failure
        return replace(failure, body=b"", content_type="")

    def answer(self, body: bytes) -> Failure | None:
        del body
        return Failure(FailureKind.BAD_RESPONSE, "the provider answered a stream request with a whole answer")

    def render(self, evidence: Evidence) -> bytes:
        del evidence
        raise AssertionError("render follows a good whole answer")

    def feed(self, data: bytes) -> Progress:
        del data
        return Progress(failure=NOT_STREAMED)

    def end(self) -> Progress:
        return Progress(failure=NOT_STREAMED)

    def closing(self, evidence: Evidence) -> bytes:
        del evidence
        return b""

    def broken(self, error: RouterError, evidence: Evidence) -> bytes | None:
        del error, evidence
        return None


class JsonTranslation(OperationTranslation):
    """A whole answer in JSON.

    Args:
        names_model: The answer says which model it is of.
    """

    def __init__(
        self, upstream: Upstream, candidate: Candidate, warnings: list[str], read: ReadAnswer, *, names_model: bool
    ) -> None:
        super().__init__(upstream, candidate, warnings)
        self._read = read
        self._names_model = names_model
        self._answer: Answer | None = None

    def answer(self, body: bytes) -> Failure | None:
        found = self._read(body, self.facts.headers)
        if isinstance(found, Failure):
            return found
        self._answer = found
        self.facts.usage, self.facts.response_id = found.usage, found.response_id
        return None

    def render(self, evidence: Evidence) -> bytes:
        assert self._answer is not None, "render follows a good answer"
        members = dict(self._answer.members)
        if self._names_model:
            members["model"] = raw(evidence.model)
        return join_members(with_evidence(members, evidence))


def with_evidence(members: Members, evidence: Evidence) -> Members:
    """The members of an answer with its cost, if it counts anything, and its metadata."""
    found = dict(members)
    put_cost(found, "usage", evidence.cost_usd)
    found["metadata"] = raw(evidence.metadata)
    return found


def json_request(
    url: str, body: Any, target: Target, headers: Mapping[str, str] | None = None, *, method: str = "POST"
) -> UpstreamRequest:
    """A request with a JSON body, and the headers that policy gives the provider."""
    data = body if isinstance(body, bytes) else msgspec.json.encode(body)
    sent = {"content-type": JSON, "user-agent": "turnout", **(headers or {})}
    sent.update({name.lower(): value for name, value in target.provider.headers.items()})
    return UpstreamRequest(url, sent, data, method)
