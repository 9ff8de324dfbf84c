"""A fake Converse on loopback: it checks signatures with botocore, bodies with botocore's model, and answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.support.converse import check_converse_request, converse_frame, signature_of
from tests.support.upstream import STREAM_END, Seen, Step, chunk, whole

REQUEST_ID = "7fdbc480-6d28-4d1c-abbc-bd7f17c7dfec"
EVENT_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/vnd.amazon.eventstream\r\n"
    b"x-amzn-requestid: " + REQUEST_ID.encode() + b"\r\ntransfer-encoding: chunked\r\n\r\n"
)
USAGE = {"inputTokens": 9, "outputTokens": 4, "totalTokens": 13}


def converse_answer(text: str = "Hello there", stop: str = "end_turn") -> dict[str, Any]:
    """A whole answer."""
    message = {"role": "assistant", "content": [{"text": text}]}
    return {"metrics": {"latencyMs": 1}, "output": {"message": message}, "stopReason": stop, "usage": USAGE}


def converse_events(*texts: str) -> list[bytes]:
    """The frames of a stream: its start, the texts, the stop reason, the metadata."""
    deltas = [{"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": text}}} for text in texts]
    events: list[Mapping[str, Any]] = [
        {"messageStart": {"role": "assistant"}},
        *deltas,
        {"contentBlockStop": {"contentBlockIndex": 0}},
        {"messageStop": {"stopReason": "end_turn"}},
        {"metadata": {"metrics": {"latencyMs": 1}, "usage": USAGE}},
    ]
    return [converse_frame(event) for event in events]


def error(status: int, name: str, told: str) -> bytes:
    """An error as Bedrock tells it."""
    kind = f"{name}:http://internal.amazon.com/coral/com.amazon.bedrock/"
    return whole(status, {"message": told}, x_amzn_errortype=kind)


class Converse:
    """Answers of the fake service, and what it found wrong.

    Args:
        url: Where it is reached; known once it listens.
        credentials: The ones that it knows: ACCESS:SECRET[:TOKEN], or API keys.
    """

    def __init__(self, url: Callable[[], str], credentials: Sequence[str]) -> None:
        self._url = url
        self._credentials = tuple(credentials)
        self.bodies: list[dict[str, Any]] = []

    def answer(self, seen: Seen) -> Sequence[Step]:
        """The script for a request."""
        refused = self._refused(seen)
        if refused is not None:
            return [refused]
        body = seen.json
        check_converse_request(body)
        self.bodies.append(body)
        if seen.path.endswith("/converse-stream"):
            return [EVENT_STREAM_HEAD, *(chunk(frame) for frame in converse_events("Hel", "lo", " there")), STREAM_END]
        assert seen.path.endswith("/converse"), seen.path
        return [whole(200, converse_answer(), x_amzn_requestid=REQUEST_ID)]

    def _refused(self, seen: Seen) -> bytes | None:
        given = seen.headers.get("authorization", "")
        if given.startswith("Bearer "):
            known = given.removeprefix("Bearer ") in self._credentials
            return None if known else error(403, "AccessDeniedException", "Invalid API Key format: Must start with x")
        if not given:
            return error(403, "MissingAuthenticationTokenException", "Missing Authentication Token")
        for credential in self._credentials:
            if f"Credential={credential.split(':')[0]}/" in given:
                expected = signature_of(seen.method, self._url() + seen.path, seen.headers, seen.body, credential)
                if given.rpartition("=")[2] == expected:
                    return None
                told = f"The request signature we calculated does not match. It was for {json.dumps(seen.headers)}"
                return error(403, "InvalidSignatureException", told)
        return error(403, "UnrecognizedClientException", "The security token included in the request is invalid.")
