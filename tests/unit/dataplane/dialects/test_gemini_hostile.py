"""Bodies and answers of generateContent that nobody should send: told apart, and never a crash, however they are cut."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.core.errors import InvalidRequest
from services.core.policy.documents import MessageTemplate, Reasoning, TextGenerationConfig
from services.dataplane.dialects.registry import dialect_of
from services.dataplane.translation import Translation, Untranslatable
from tests.support.asking import asked_headers, question
from tests.unit.dataplane.build import candidate
from tests.unit.dataplane.dialects.test_hostile_answers import (
    ANTHROPIC,
    COHERE,
    EVIDENCE,
    GOOGLE,
    KINDS,
    OPENAI,
    run,
)
from tests.unit.dataplane.dialects.test_hostile_bodies import TEXTS, VALUES, object_of

API = "generateContent"
POLICY = TextGenerationConfig(max_tokens=9, temperature=0.5, reasoning=Reasoning(effort="low", exclude=True))
TARGETS = [
    candidate("p/gemini-2.5-pro", "google"),
    candidate("p/gemini-2.5-pro", "google", generation=POLICY, templates=(MessageTemplate("system", "Be kind."),)),
    candidate("p/gemini-3-pro", "vertex", templates=(MessageTemplate("user", "One?"),)),
    *(candidate("p/m", kind) for kind in ("openai", "anthropic", "cohere", "mistral", "bedrock")),
]
BLOB = object_of(mimeType=st.sampled_from(["image/png", "audio/wav", "video/mp4", "text/plain", "x"]), data=TEXTS)
FILE = object_of(mimeType=TEXTS, fileUri=st.sampled_from(["https://a/b.png", "gs://a", "files/x", ""]))
RESPONSE = object_of(
    id=TEXTS, name=TEXTS, response=object_of(result=VALUES, error=VALUES), parts=st.lists(object_of(inlineData=BLOB))
)
PART = st.one_of(
    object_of(
        text=TEXTS, thought=st.booleans(), thoughtSignature=st.sampled_from(["c2ln", "dHVybm91dD", "dHVybm91dDp4", ""])
    ),
    object_of(functionCall=st.one_of(object_of(id=TEXTS, name=TEXTS, args=VALUES), VALUES)),
    object_of(functionResponse=st.one_of(RESPONSE, VALUES)),
    object_of(inlineData=st.one_of(BLOB, VALUES), file_data=FILE),
    object_of(executableCode=VALUES, toolCall=VALUES, videoMetadata=VALUES),
    VALUES,
)
CONTENT = st.one_of(
    object_of(role=st.sampled_from(["user", "model", "function", "x"]), parts=st.lists(PART, max_size=3)), VALUES
)
SCHEMA = object_of(
    type=st.sampled_from(["OBJECT", "ARRAY", "TYPE_UNSPECIFIED", 5]),
    properties=st.one_of(object_of(a=object_of(type=st.just("STRING"), nullable=st.booleans())), VALUES),
    items=VALUES,
    any_of=st.one_of(st.lists(VALUES, max_size=2), VALUES),
    enum=VALUES,
    minItems=st.one_of(st.just("1"), VALUES),
    propertyOrdering=VALUES,
    nullable=VALUES,
    additionalProperties=VALUES,
    defs=object_of(a=VALUES),
)
DECLARATION = object_of(name=TEXTS, description=VALUES, parameters=SCHEMA, parametersJsonSchema=VALUES)
TOOL = object_of(functionDeclarations=st.one_of(st.lists(DECLARATION, max_size=2), VALUES), googleSearch=VALUES)
CALLING = object_of(mode=st.sampled_from(["ANY", "auto", "VALIDATED", "x", 1]), allowedFunctionNames=VALUES)
CONFIG = object_of(
    responseMimeType=st.sampled_from(["application/json", "text/x.enum", 3]),
    response_schema=SCHEMA,
    responseJsonSchema=VALUES,
    thinkingConfig=object_of(thinkingBudget=VALUES, thinkingLevel=VALUES, includeThoughts=VALUES),
    **dict.fromkeys(
        ["stopSequences", "responseModalities", "candidateCount", "maxOutputTokens", "temperature", "topK", "logprobs"],
        VALUES,
    ),
)
BODY = st.fixed_dictionaries(
    {"contents": st.one_of(st.lists(CONTENT, max_size=4), VALUES)},
    optional={
        "system_instruction": st.one_of(CONTENT, TEXTS),
        "tools": st.one_of(st.lists(TOOL, max_size=2), VALUES),
        "toolConfig": object_of(functionCallingConfig=st.one_of(CALLING, VALUES)),
        "generationConfig": st.one_of(CONFIG, VALUES),
        **dict.fromkeys(["labels", "metadata", "extra_body", "safetySettings", "serviceTier", "cachedContent"], VALUES),
    },
)


PROOFS = st.sampled_from(["c2ln", "dHVybm91dDp4", "dHVybm91dDphbnRocm9waWM6c2lnbmF0dXJlOjpzaWc=", ""])


def close_to(**fields: Any) -> Any:
    """An object with some of these fields, and nothing else: what is wrong is wrong deep inside."""
    return st.fixed_dictionaries({}, optional=fields)


ARGUMENTS = st.dictionaries(st.sampled_from(["x", "output", "error"]), VALUES, max_size=2)
NAMES = st.sampled_from(["a", "b"])
NEAR_PART = st.one_of(
    close_to(text=TEXTS, thought=st.booleans(), thoughtSignature=PROOFS),
    close_to(
        functionCall=st.fixed_dictionaries({"name": NAMES}, optional={"id": TEXTS, "args": ARGUMENTS}),
        thoughtSignature=PROOFS,
    ),
    close_to(functionResponse=close_to(id=TEXTS, name=NAMES, response=ARGUMENTS)),
    st.fixed_dictionaries(
        {
            "inlineData": st.fixed_dictionaries(
                {
                    "mimeType": st.sampled_from(["image/png", "audio/wav", "text/plain", "application/pdf"]),
                    "data": st.sampled_from(["QUJD", "é", "====", "a b"]),
                }
            )
        }
    ),
)
NEAR_SCHEMA = close_to(
    type=st.sampled_from(["OBJECT", "STRING", "TYPE_UNSPECIFIED"]),
    properties=st.fixed_dictionaries({"a": close_to(type=st.just("STRING"), nullable=st.booleans(), enum=VALUES)}),
    enum=VALUES,
    propertyOrdering=VALUES,
    anyOf=VALUES,
    nullable=st.booleans(),
    minItems=VALUES,
)
NEAR = st.fixed_dictionaries(
    {
        "contents": st.lists(
            close_to(role=st.sampled_from(["user", "model"]), parts=st.lists(NEAR_PART, max_size=3)),
            min_size=1,
            max_size=4,
        )
    },
    optional={
        "tools": st.lists(
            close_to(functionDeclarations=st.lists(close_to(name=st.just("a"), parameters=NEAR_SCHEMA), max_size=2))
        ),
        "generationConfig": close_to(responseMimeType=st.just("application/json"), responseSchema=NEAR_SCHEMA),
    },
)


@settings(max_examples=400)
@given(st.one_of(BODY, NEAR))
def test_no_body_crashes_a_translation(body: dict[str, Any]) -> None:
    data = json.dumps(body).encode()
    for target in TARGETS:
        try:
            inbound = dialect_of(API).read(data, asked_headers(API))
            inbound.condition_messages()
            sent = inbound.translate(target).request("key")
            inbound.mendable()
        except (InvalidRequest, Untranslatable):
            continue
        assert sent is not None
        assert isinstance(json.loads(sent.body), dict)


def translation(kind: str, *, stream: bool) -> Translation:
    body = json.dumps(question(API)).encode()
    found = dialect_of(API).read(body, asked_headers(API, stream=stream)).translate(candidate("p/m", KINDS[kind]))
    found.request("key")
    return found


def check(kind: str, objects: list[Any]) -> None:
    whole = translation(kind, stream=False)
    if whole.answer(json.dumps(objects[0]).encode() if objects else b"") is None:
        shown = json.loads(whole.render(EVIDENCE))
        assert shown["modelVersion"] == "p/m"
    wire = b"".join(b"data: " + json.dumps(o).encode() + b"\n\n" for o in objects)
    at_once, slowly = translation(kind, stream=True), translation(kind, stream=True)
    found = run(at_once, [wire])
    assert run(slowly, [wire[i : i + 7] for i in range(0, len(wire), 7)]) == found
    assert b'"finishReason"' not in found[0], "the finish reason waits for the end"
    if found[1]:
        (last,) = at_once.closing(EVIDENCE).split(b"\n\n")[:-1]
        assert "finishReason" in json.loads(last.removeprefix(b"data: "))["candidates"][0]


@settings(max_examples=200)
@given(st.lists(OPENAI, max_size=4))
def test_no_openai_answer_crashes_it(objects: list[Any]) -> None:
    check("openai", objects)


@settings(max_examples=200)
@given(st.lists(ANTHROPIC, max_size=5))
def test_no_anthropic_answer_crashes_it(objects: list[Any]) -> None:
    check("anthropic", objects)


@settings(max_examples=200)
@given(st.lists(COHERE, max_size=5))
def test_no_cohere_answer_crashes_it(objects: list[Any]) -> None:
    check("cohere", objects)


@settings(max_examples=300)
@given(st.lists(GOOGLE, max_size=5))
def test_no_google_answer_crashes_it(objects: list[Any]) -> None:
    check("google", objects)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.binary(max_size=60))
def test_no_bytes_whatever_crash_it(kind: str, data: bytes) -> None:
    translation(kind, stream=False).answer(data)
    _, done, failure = run(translation(kind, stream=True), [data, b"data: " + data + b"\n\n"])
    assert failure is not None
    assert not done
