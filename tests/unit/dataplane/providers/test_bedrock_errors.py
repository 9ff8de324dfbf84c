"""What follows from every error that Bedrock documents or was seen to send: its kind, its verdict, whom it harms."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.attempts.verdicts import Verdict, caller_status, disposition
from services.core.errors import FailureKind as K
from services.dataplane.dialects.registry import DIALECTS
from services.dataplane.providers.bedrock_errors import BY_NAME, classify, in_stream
from services.dataplane.providers.registry import codec_of
from tests.support.converse import converse_frame, frame
from tests.unit.dataplane.dialects.test_hostile_answers import EVIDENCE, run, translations
from tests.unit.dataplane.test_dispositions import SAID, assert_follows

CORAL = "http://internal.amazon.com/coral/com.amazon.bedrock/"
NO_ACCESS = "You don't have access to the model with the specified model ID."
ON_DEMAND = (
    "Invocation of model ID anthropic.claude-sonnet-4-6 with on-demand throughput isn\u2019t supported. Retry your "
    "request with the ID or ARN of an inference profile that contains this model."
)
MODELS_OWN = "The model returned the following errors: "
EXCEEDED = (
    f"{MODELS_OWN}Input Tokens Exceeded: Number of input tokens exceeds maximum length. "
    "Please update the input to try again."
)
TITAN = "400 Bad Request: Too many input tokens. Max input tokens: 8192, request input token count: 9279 "
NO_CHOICE = (
    "This model doesn't support the toolConfig.toolChoice.any field. Remove toolConfig.toolChoice.any and try again."
)

STATUSES: tuple[tuple[int, str, str, K], ...] = (
    (400, "ValidationException", SAID, K.INVALID_REQUEST),
    (400, "ValidationException", "The provided model identifier is invalid.", K.MODEL_MISSING),
    (400, "ValidationException", ON_DEMAND, K.MODEL_MISSING),
    (400, "ValidationException", "Input is too long for requested model.", K.CONTEXT_TOO_LONG),
    (400, "ValidationException", f"{MODELS_OWN}Input is too long for requested model.", K.CONTEXT_TOO_LONG),
    (400, "ValidationException", f"{MODELS_OWN}prompt is too long: 200049 tokens > 200000 maximum", K.CONTEXT_TOO_LONG),
    (400, "ValidationException", EXCEEDED, K.CONTEXT_TOO_LONG),
    (400, "ValidationException", TITAN, K.CONTEXT_TOO_LONG),
    (400, "ValidationException", "This model doesn't support tool use in streaming mode.", K.UNSUPPORTED),
    (400, "ValidationException", NO_CHOICE, K.UNSUPPORTED),
    (400, "ServiceQuotaExceededException", SAID, K.QUOTA_EXHAUSTED),
    (400, "", SAID, K.INVALID_REQUEST),
    (403, "AccessDeniedException", "User: x is not authorized to perform: bedrock:InvokeModel", K.CREDENTIALS_REJECTED),
    (403, "AccessDeniedException", NO_ACCESS, K.MODEL_MISSING),
    (403, "UnrecognizedClientException", SAID, K.CREDENTIALS_REJECTED),
    (403, "InvalidSignatureException", SAID, K.CREDENTIALS_REJECTED),
    (403, "ExpiredTokenException", SAID, K.CREDENTIALS_REJECTED),
    (403, "MissingAuthenticationTokenException", SAID, K.CREDENTIALS_REJECTED),
    (403, "IncompleteSignatureException", SAID, K.CREDENTIALS_REJECTED),
    (403, "", SAID, K.CREDENTIALS_REJECTED),
    (404, "ResourceNotFoundException", SAID, K.MODEL_MISSING),
    (404, "UnknownOperationException", "", K.MODEL_MISSING),
    (408, "ModelTimeoutException", SAID, K.SERVER_ERROR),
    (413, "", SAID, K.REQUEST_TOO_LARGE),
    (424, "ModelErrorException", SAID, K.SERVER_ERROR),
    (424, "", SAID, K.SERVER_ERROR),
    (429, "ThrottlingException", "Too many requests, please wait before trying again.", K.RATE_LIMITED),
    (429, "ThrottlingException", "Too many tokens per day, please wait before trying again.", K.RATE_LIMITED),
    (429, "ModelNotReadyException", SAID, K.OVERLOADED),
    (500, "InternalServerException", SAID, K.SERVER_ERROR),
    (500, "ValidationException", SAID, K.SERVER_ERROR),
    (503, "ServiceUnavailableException", SAID, K.OVERLOADED),
    (503, "", "", K.OVERLOADED),
)  # fmt: skip

INSIDE: tuple[tuple[str, dict[str, Any], K], ...] = (
    ("internalServerException", {"message": SAID}, K.SERVER_ERROR),
    ("modelStreamErrorException", {"message": SAID}, K.SERVER_ERROR),
    ("modelStreamErrorException", {"message": SAID, "originalStatusCode": 500}, K.SERVER_ERROR),
    ("modelStreamErrorException", {"message": SAID, "originalStatusCode": 400}, K.SERVER_ERROR),
    ("modelStreamErrorException", {"message": SAID, "originalStatusCode": 429}, K.RATE_LIMITED),
    ("modelStreamErrorException", {"message": SAID, "originalStatusCode": 529}, K.OVERLOADED),
    ("modelTimeoutException", {"message": SAID}, K.SERVER_ERROR),
    ("serviceUnavailableException", {"message": SAID}, K.OVERLOADED),
    ("throttlingException", {"message": SAID}, K.RATE_LIMITED),
    ("validationException", {"message": SAID}, K.INVALID_REQUEST),
    ("validationException", {"message": "Input is too long for requested model."}, K.CONTEXT_TOO_LONG),
    ("aNewException", {"message": SAID}, K.STREAM_ERROR),
)


@pytest.mark.parametrize(("status", "name", "message", "kind"), STATUSES)
def test_statuses_mean_what_their_exceptions_say(status: int, name: str, message: str, kind: K) -> None:
    body = json.dumps({"message": message}).encode()
    by_header = classify(status, {"x-amzn-errortype": f"{name}:{CORAL}"} if name else {}, body)
    assert_follows(by_header, kind)
    assert by_header.code == name
    told = {"message": message, **({"__type": f"com.amazon.coral.service#{name}"} if name else {})}
    assert_follows(classify(status, {}, json.dumps(told).encode()), kind)


@pytest.mark.parametrize(
    "api", [dialect.api for dialect in DIALECTS if dialect.api in {"chat.completions", "messages"}]
)
@pytest.mark.parametrize(("name", "payload", "kind"), INSIDE)
def test_an_exception_inside_a_stream_is_told_apart_wherever_it_comes(
    name: str, payload: dict[str, Any], kind: K, api: str
) -> None:
    start = converse_frame({"messageStart": {"role": "assistant"}})
    number = 0 if api == "chat.completions" else 1
    for before in (b"", start):
        progress = translations("bedrock")[number].feed(before + converse_frame({"exception": {name: payload}}))
        assert progress.failure is not None
        assert not progress.done
        assert_follows(progress.failure, kind)


def test_an_error_message_of_the_stream_itself_has_its_code_in_a_header() -> None:
    headers = {":message-type": "error", ":error-code": "InternalFailure", ":error-message": SAID}
    (failed,) = codec_of("bedrock").decoder().feed(frame(headers, b""))
    assert_follows(failed.failure, K.SERVER_ERROR)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "message",
    [
        "the message 'Input is too long for requested model.' is not allowed",
        "prompt: prompt is too long: 5 tokens > 4 maximum",
        "I said: This model doesn't support tool use.",
        f"{MODELS_OWN}{MODELS_OWN}Input is too long for requested model.",
    ],
)
def test_words_that_are_quoted_from_a_prompt_prove_nothing(message: str) -> None:
    told = json.dumps({"message": message}).encode()
    assert classify(400, {"x-amzn-errortype": "ValidationException"}, told).kind is K.INVALID_REQUEST


def test_no_401_402_or_403_is_ever_the_callers() -> None:
    for status in (401, 402, 403):
        for name in BY_NAME:
            failure = classify(status, {"x-amzn-errortype": name}, b'{"message": "no"}')
            assert caller_status(failure) not in {401, 402, 403}
            assert disposition(failure).verdict is not Verdict.STOP


def test_every_status_has_a_kind_and_only_the_callers_mistakes_stop() -> None:
    stopping = {s for s in range(300, 600) if disposition(classify(s, {}, b"")).verdict is Verdict.STOP}
    assert {400, 405, 413, 422, 451} <= stopping
    assert all(400 <= status < 500 for status in stopping)
    assert not stopping & {401, 402, 403, 404, 408, 409, 410, 412, 424, 425, 429, 498, 499}


TEXTS = st.text(max_size=5)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-9, 9), st.floats(allow_nan=False), TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(TEXTS, inner, max_size=2)),
    max_leaves=4,
)


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """An object with any of these members, each of which may be anything else instead."""
    return st.fixed_dictionaries({}, optional={name: st.one_of(value, VALUES) for name, value in fields.items()})


BYTES = st.one_of(TEXTS, st.just("aGk="))
REASONING = some(text=TEXTS, signature=TEXTS, redactedContent=BYTES, reasoningText=some(text=TEXTS, signature=TEXTS))
TOOL = some(toolUseId=TEXTS, name=TEXTS, input=st.one_of(TEXTS, VALUES), type=st.just("server_tool_use"))
CITATION = some(
    title=TEXTS, source=TEXTS, sourceContent=st.lists(some(text=TEXTS), max_size=1),
    location=some(web=some(url=TEXTS), documentChar=some(documentIndex=st.integers(-1, 3), start=st.integers(-1, 3))),
)  # fmt: skip
IMAGE = some(format=TEXTS, source=some(bytes=BYTES))
BLOCK = some(
    text=TEXTS, toolUse=TOOL, reasoningContent=REASONING, image=IMAGE,
    citationsContent=some(content=st.lists(some(text=TEXTS), max_size=2), citations=st.lists(CITATION, max_size=2)),
)  # fmt: skip
USAGE = some(
    inputTokens=st.integers(-1, 9), outputTokens=st.integers(-1, 9), totalTokens=st.integers(-1, 9),
    cacheReadInputTokens=st.integers(-1, 9), cacheDetails=st.lists(some(ttl=st.just("1h"), inputTokens=st.just(3)), max_size=1),
)  # fmt: skip
STOPS = st.sampled_from(["end_turn", "tool_use", "malformed_tool_use", "guardrail_intervened", "odd", ""])
ANSWERS = some(
    output=some(message=some(content=st.lists(BLOCK, max_size=3))), stopReason=STOPS, usage=USAGE, message=TEXTS,
    additionalModelResponseFields=st.one_of(some(stop_sequence=TEXTS), some(delta=some(stop_sequence=TEXTS))),
    __type=TEXTS,
)  # fmt: skip
INDEX = st.integers(-1, 2)
EVENTS = st.one_of(
    st.fixed_dictionaries({"messageStart": some(role=TEXTS)}),
    st.fixed_dictionaries({"contentBlockStart": some(contentBlockIndex=INDEX, start=some(toolUse=TOOL, image=IMAGE))}),
    st.fixed_dictionaries(
        {
            "contentBlockDelta": some(
                contentBlockIndex=INDEX,
                delta=some(text=TEXTS, toolUse=TOOL, reasoningContent=REASONING, citation=CITATION, image=IMAGE),
            )
        }
    ),
    st.fixed_dictionaries({"contentBlockStop": some(contentBlockIndex=INDEX)}),
    st.fixed_dictionaries({"messageStop": some(stopReason=STOPS)}),
    st.fixed_dictionaries({"metadata": some(usage=USAGE)}),
    st.fixed_dictionaries({"odd": VALUES}),
    st.fixed_dictionaries({"exception": st.fixed_dictionaries({"odd": VALUES})}),
)


@given(ANSWERS)
def test_no_answer_crashes_a_translation(answer: Any) -> None:
    for translation in translations("bedrock"):
        if translation.answer(json.dumps(answer).encode()) is None:
            json.loads(translation.render(EVIDENCE))


@given(st.lists(EVENTS, max_size=6), st.integers(1, 40))
def test_no_stream_crashes_a_translation_and_cuts_change_nothing(events: list[Any], size: int) -> None:
    wire = b"".join(converse_frame(event) for event in events)
    for at_once, slowly in zip(translations("bedrock"), translations("bedrock"), strict=True):
        found = run(at_once, [wire])
        assert run(slowly, [wire[i : i + size] for i in range(0, len(wire), size)]) == found


@given(st.text(max_size=30), st.binary(max_size=40))
def test_no_exception_whatever_breaks_the_classification(name: str, payload: bytes) -> None:
    assert in_stream(name, payload).message
    assert classify(400, {"x-amzn-errortype": name}, payload).message
