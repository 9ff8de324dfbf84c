"""Requests in Gemini's wire format: every field of the exchange model is carried, told of, or refused."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import fields

from services.dataplane.exchange import (
    Audio,
    ChatRequest,
    File,
    Image,
    Message,
    Part,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    Video,
)
from services.dataplane.providers.google_encode import encode_body
from services.dataplane.providers.google_turns import UNCHECKED
from services.dataplane.translation import Untranslatable

HI = Message("user", (Text("hi"),))
CALL = ToolCall("c1", "look", '{"at":1}')
LOOK = Tool("look", parameters={"$schema": "https://json-schema.org/draft", "properties": {}})


def encoded(request: ChatRequest, model: str = "gemini-2.5-pro", *, vertex: bool = False) -> tuple[Any, list[str]]:
    return encode_body(request, model, vertex=vertex)


def body_of(request: ChatRequest, model: str = "gemini-2.5-pro", *, vertex: bool = False) -> Any:
    body, dropped = encoded(request, model, vertex=vertex)
    assert dropped == []
    return body


def parts_of(*parts: Part, model: str = "gemini-2.5-pro", role: str = "user") -> Any:
    return body_of(ChatRequest((Message(role, parts),)), model)["contents"][0]["parts"]


def answered(result: ToolResult, model: str = "gemini-2.5-pro", call: ToolCall = CALL) -> tuple[Any, list[str]]:
    turns = (HI, Message("assistant", (call,)), Message("user", (result,)))
    return encoded(ChatRequest(turns), model)


def test_the_smallest_request() -> None:
    assert body_of(ChatRequest((HI,))) == {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}


def test_system_and_developer_messages_are_the_system_instruction() -> None:
    messages = (Message("system", (Text("a"),)), Message("developer", (Text("b"),)), HI)
    assert body_of(ChatRequest(messages))["systemInstruction"] == {"parts": [{"text": "a"}, {"text": "b"}]}


def test_a_late_system_message_moves_and_is_told_of() -> None:
    _, dropped = encoded(ChatRequest((HI, Message("system", (Text("a"),)))))
    assert dropped == ["system messages inside the conversation were moved to its beginning"]


@pytest.mark.parametrize("messages", [(), (Message("system", (Text("a"),)),), (Message("user", (Text(""),)),)], ids=len)
def test_a_conversation_without_a_word_is_refused(messages: tuple[Message, ...]) -> None:
    with pytest.raises(Untranslatable, match="at least one message"):
        encoded(ChatRequest(messages))


def test_media_in_system_messages_are_refused() -> None:
    with pytest.raises(Untranslatable, match="system messages"):
        encoded(ChatRequest((Message("system", (Image(url="https://x.test/a.png"),)), HI)))


def test_neighbours_of_one_role_become_one_turn_with_results_first() -> None:
    turns = (
        HI,
        Message("assistant", (CALL, ToolCall("c2", "look", "{}"))),
        Message("user", (Text("between"),)),
        Message("user", (ToolResult("c1", (Text("one"),)),)),
        Message("user", (ToolResult("c2", (Text("two"),)),)),
    )
    contents = body_of(ChatRequest(turns))["contents"]
    assert [c["role"] for c in contents] == ["user", "model", "user"]
    assert [next(iter(p)) for p in contents[2]["parts"]] == ["functionResponse", "functionResponse", "text"]


@pytest.mark.parametrize(
    ("part", "wire"),
    [
        (Image(data="aGk="), {"inlineData": {"mimeType": "image/png", "data": "aGk="}}),
        (Image(data="aGk=", media_type="image/webp"), {"inlineData": {"mimeType": "image/webp", "data": "aGk="}}),
        (Audio(data="aGk=", format="mp3"), {"inlineData": {"mimeType": "audio/mp3", "data": "aGk="}}),
        (Audio(data="aGk=", format="ogg"), {"inlineData": {"mimeType": "audio/ogg", "data": "aGk="}}),
        (Video(data="aGk="), {"inlineData": {"mimeType": "video/mp4", "data": "aGk="}}),
        (File(data="aGk=", name="a.csv"), {"inlineData": {"mimeType": "text/csv", "data": "aGk="}}),
        (File(data="aGk="), {"inlineData": {"mimeType": "application/pdf", "data": "aGk="}}),
        (File(text="plain"), {"text": "plain"}),
        (
            Image(url="https://x.test/a.webp?s=1"),
            {"fileData": {"mimeType": "image/webp", "fileUri": "https://x.test/a.webp?s=1"}},
        ),
        (Image(url="https://x.test/a.php"), {"fileData": {"mimeType": "image/jpeg", "fileUri": "https://x.test/a.php"}}),
        (Image(url="https://x.test/a.pdf"), {"fileData": {"mimeType": "image/jpeg", "fileUri": "https://x.test/a.pdf"}}),
        (Audio(url="https://x.test/a.wav"), {"fileData": {"mimeType": "audio/x-wav", "fileUri": "https://x.test/a.wav"}}),
        (Video(url="https://youtu.be/x"), {"fileData": {"mimeType": "video/mp4", "fileUri": "https://youtu.be/x"}}),
        (File(url="gs://b/a.pdf"), {"fileData": {"mimeType": "application/pdf", "fileUri": "gs://b/a.pdf"}}),
        (File(file_id="https://g.test/files/a"), {"fileData": {"fileUri": "https://g.test/files/a"}}),
        (
            File(file_id="files/a", media_type="text/plain"),
            {"fileData": {"mimeType": "text/plain", "fileUri": "files/a"}},
        ),
        (File(file_id="files/a", media_type="image/*"), {"fileData": {"fileUri": "files/a"}}),
    ],
    ids=lambda v: type(v).__name__,
)  # fmt: skip
def test_media_by_value_and_by_address(part: Part, wire: Any) -> None:
    assert parts_of(part) == [wire]


def test_a_document_comes_behind_what_is_said_of_it() -> None:
    assert parts_of(File(text="plain", context="The rules.")) == [{"text": "The rules."}, {"text": "plain"}]


def test_sound_by_an_earlier_answers_id_is_refused() -> None:
    with pytest.raises(Untranslatable, match="audio input by its id"):
        encoded(ChatRequest((Message("user", (Audio(id="audio_1"),)),)))


def test_a_call_and_its_result_carry_id_name_and_output() -> None:
    body, dropped = answered(ToolResult("c1", (Text("four"),)))
    assert dropped == []
    assert body["contents"][1]["parts"] == [{"functionCall": {"id": "c1", "name": "look", "args": {"at": 1}}}]
    response = {"id": "c1", "name": "look", "response": {"output": "four"}}
    assert body["contents"][2]["parts"] == [{"functionResponse": response}]


@pytest.mark.parametrize(
    ("text", "error", "response"),
    [
        ('{"a": 1}', False, {"output": {"a": 1}}),
        ("[1]", False, {"output": [1]}),
        ("{oops", False, {"output": "{oops"}),
        ("4", False, {"output": "4"}),
        ("", False, {"output": ""}),
        ("no", True, {"error": "no"}),
    ],
)
def test_a_result_is_an_object_whatever_the_tool_said(text: str, error: bool, response: Any) -> None:
    body, _ = answered(ToolResult("c1", (Text(text),) if text else (), is_error=error))
    assert body["contents"][2]["parts"][0]["functionResponse"]["response"] == response


def test_media_of_results_go_inside_where_the_model_takes_them() -> None:
    result = ToolResult("c1", (Text("see"), Image(data="aGk=")))
    old, _ = answered(result)
    picture = {"inlineData": {"mimeType": "image/png", "data": "aGk="}}
    assert old["contents"][2]["parts"][1] == picture
    new, _ = answered(result, "gemini-3-flash-preview")
    assert new["contents"][2]["parts"][0]["functionResponse"]["parts"] == [picture]


def test_a_plain_document_of_a_result_is_its_text() -> None:
    result = ToolResult("c1", (Text("see"), File(text="plain", context="The rules.")))
    for model in ("gemini-2.5-pro", "gemini-3-flash-preview"):
        body, _ = answered(result, model)
        (part,) = body["contents"][2]["parts"]
        assert part["functionResponse"]["response"] == {"output": "see\nThe rules.\nplain"}
        assert "parts" not in part["functionResponse"]


def test_a_result_that_answers_no_call_is_refused() -> None:
    with pytest.raises(Untranslatable, match="'c9' answers no call"):
        answered(ToolResult("c9", (Text("x"),)))


@pytest.mark.parametrize(("arguments", "args"), [("", {}), ("[1]", {"value": [1]}), ('{"a":null}', {"a": None})])
def test_arguments_are_an_object(arguments: str, args: Any) -> None:
    call = ToolCall("c1", "look", arguments)
    body, _ = answered(ToolResult("c1", (Text("x"),)), call=call)
    assert body["contents"][1]["parts"][0]["functionCall"]["args"] == args


def test_arguments_that_are_no_json_are_refused() -> None:
    with pytest.raises(Untranslatable, match="not JSON"):
        answered(ToolResult("c1", ()), call=ToolCall("c1", "look", "{"))


def test_googles_own_reasoning_is_sent_back_and_a_bare_signature_joins_its_text() -> None:
    own = Thinking("Add.", "sig1", vendor="google")
    bare = Thinking(signature="sig2", vendor="google")
    turns = (HI, Message("assistant", (own, Text("4"), bare)), HI)
    parts = body_of(ChatRequest(turns))["contents"][1]["parts"]
    thought = {"text": "Add.", "thought": True, "thoughtSignature": "sig1"}
    assert parts == [thought, {"text": "4", "thoughtSignature": "sig2"}]
    alone = body_of(ChatRequest((HI, Message("assistant", (bare, CALL)), HI)))["contents"][1]["parts"]
    assert alone[0] == {"text": "", "thoughtSignature": "sig2"}


def test_others_reasoning_is_dropped_and_told_of() -> None:
    turns = (HI, Message("assistant", (Thinking("Add.", "sig", vendor="anthropic"), Text("4"))), HI)
    body, dropped = encoded(ChatRequest(turns))
    assert body["contents"][1]["parts"] == [{"text": "4"}]
    assert dropped == ["reasoning of earlier turns was dropped: it is not Google's"]


def test_calls_keep_their_signature_and_unsigned_ones_are_excused_where_it_is_demanded() -> None:
    signed = ToolCall("c1", "look", "{}", signature="sig")
    body, dropped = answered(ToolResult("c1", ()), "gemini-3-flash-preview", signed)
    assert body["contents"][1]["parts"][0]["thoughtSignature"] == "sig"
    assert dropped == []
    body, dropped = answered(ToolResult("c1", ()), "gemini-3-flash-preview")
    assert body["contents"][1]["parts"][0]["thoughtSignature"] == UNCHECKED
    assert len(dropped) == 1
    body, dropped = answered(ToolResult("c1", ()))
    assert "thoughtSignature" not in body["contents"][1]["parts"][0]
    assert dropped == []


def test_tools_go_as_json_schema_that_is_an_object() -> None:
    tools = (LOOK, Tool("bare", "Does it."))
    declarations = body_of(ChatRequest((HI,), tools=tools))["tools"][0]["functionDeclarations"]
    assert declarations == [
        {"name": "look", "parametersJsonSchema": {"type": "object", "properties": {}}},
        {"name": "bare", "description": "Does it."},
    ]


@pytest.mark.parametrize(
    ("choice", "strict", "config"),
    [
        ("", None, None),
        ("auto", None, {"mode": "AUTO"}),
        ("none", None, {"mode": "NONE"}),
        ("required", True, {"mode": "ANY"}),
        ("tool:look", None, {"mode": "ANY", "allowedFunctionNames": ["look"]}),
        ("auto", True, {"mode": "VALIDATED"}),
        ("", True, {"mode": "VALIDATED"}),
    ],
)
def test_tool_choices(choice: str, strict: bool | None, config: Any) -> None:
    body = body_of(ChatRequest((HI,), tools=(Tool("look", strict=strict),), tool_choice=choice))
    assert body.get("toolConfig", {}).get("functionCallingConfig") == config


def test_structured_output() -> None:
    schema = {"type": "object", "$schema": "x"}
    named = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    assert body_of(ChatRequest((HI,), response_format=named))["generationConfig"] == {
        "responseMimeType": "application/json",
        "responseJsonSchema": {"type": "object"},
    }
    plain = body_of(ChatRequest((HI,), response_format={"type": "json_object"}))
    assert plain["generationConfig"] == {"responseMimeType": "application/json"}
    assert "generationConfig" not in body_of(ChatRequest((HI,), response_format={"type": "text"}))
    with pytest.raises(Untranslatable, match="'grammar'"):
        encoded(ChatRequest((HI,), response_format={"type": "grammar"}))


@pytest.mark.parametrize(
    "request_",
    [
        ChatRequest((HI,), tools=(LOOK,), response_format={"type": "json_object"}),
        ChatRequest((HI,), web_search={}, response_format={"type": "json_object"}),
        ChatRequest((HI,), tools=(LOOK,), web_search={}),
    ],
    ids=["tools-json", "search-json", "tools-search"],
)
def test_what_only_models_from_3_on_take_together(request_: ChatRequest) -> None:
    with pytest.raises(Untranslatable, match="together"):
        encoded(request_)
    assert encoded(request_, "gemini-3-flash-preview")[1] == []


def test_the_generation_configuration() -> None:
    request = ChatRequest(
        (HI,), max_tokens=9, temperature=0.5, top_p=0.9, top_k=40, stop=("a", "b"), seed=7, frequency_penalty=0.1,
        presence_penalty=0.2, logprobs=True, top_logprobs=3, modalities=("text", "image"), reasoning_effort="low",
    )  # fmt: skip
    assert body_of(request)["generationConfig"] == {
        "maxOutputTokens": 9,
        "temperature": 0.5,
        "topP": 0.9,
        "topK": 40,
        "presencePenalty": 0.2,
        "frequencyPenalty": 0.1,
        "seed": 7,
        "stopSequences": ["a", "b"],
        "responseLogprobs": True,
        "logprobs": 3,
        "responseModalities": ["TEXT", "IMAGE"],
        "thinkingConfig": {"thinkingBudget": 1024, "includeThoughts": True},
    }


def test_sampling_is_dropped_where_the_model_takes_none() -> None:
    request = ChatRequest((HI,), temperature=0.5, presence_penalty=0.2)
    body, dropped = encoded(request, "gemini-3.8-flash")
    assert "generationConfig" not in body
    assert len(dropped) == 2


def test_the_beginning_of_an_answer_is_refused_where_the_model_goes_on_with_none() -> None:
    request = ChatRequest((HI, Message("assistant", (Text("It"),))))
    assert body_of(request)["contents"][-1]["role"] == "model"
    with pytest.raises(Untranslatable, match="beginning of an answer"):
        encoded(request, "gemini-3.8-flash")


@pytest.mark.parametrize(("seed", "folded"), [(2**31 - 1, 2**31 - 1), (2**31, 0), (-(2**31), -(2**31)), (2**40 + 5, 5)])
def test_a_seed_is_folded_into_32_bits(seed: int, folded: int) -> None:
    body, dropped = encoded(ChatRequest((HI,), seed=seed))
    assert body["generationConfig"]["seed"] == folded
    assert bool(dropped) is (seed != folded)


def test_too_many_stop_sequences_are_refused() -> None:
    with pytest.raises(Untranslatable, match="at most 5"):
        encoded(ChatRequest((HI,), stop=tuple("abcdef")))


def test_kinds_of_answers() -> None:
    assert body_of(ChatRequest((HI,), modalities=("text", "audio")))["generationConfig"] == {
        "responseModalities": ["AUDIO"]
    }
    with pytest.raises(Untranslatable, match="'video'"):
        encoded(ChatRequest((HI,), modalities=("video",)))


def test_a_web_search_is_googles_own() -> None:
    assert body_of(ChatRequest((HI,), web_search={}))["tools"] == [{"googleSearch": {}}]
    body = body_of(ChatRequest((HI,), tools=(LOOK,), web_search={}), "gemini-3-flash-preview")
    assert [next(iter(t)) for t in body["tools"]] == ["functionDeclarations", "googleSearch"]
    assert body["toolConfig"] == {"includeServerSideToolInvocations": True}
    vertex = body_of(ChatRequest((HI,), tools=(LOOK,), web_search={}), "gemini-3-flash-preview", vertex=True)
    assert "toolConfig" not in vertex


def test_a_search_that_is_bound_to_domains_is_refused_where_google_cannot_bind_it() -> None:
    blocked = ChatRequest((HI,), web_search={"blocked_domains": ["x.test"]})
    assert body_of(blocked, vertex=True)["tools"] == [{"googleSearch": {"excludeDomains": ["x.test"]}}]
    with pytest.raises(Untranslatable, match="leave out domains"):
        encoded(blocked)
    with pytest.raises(Untranslatable, match="bound to certain domains"):
        encoded(ChatRequest((HI,), web_search={"allowed_domains": ["x.test"]}), vertex=True)
    _, dropped = encoded(ChatRequest((HI,), web_search={"max_results": 3, "user_location": {"city": "Rome"}}))
    assert len(dropped) == 2


LOSSES: dict[str, Any] = {
    "parallel_tool_calls": False, "verbosity": "low", "logit_bias": {"5": 1.0}, "min_p": 0.1,
    "repetition_penalty": 1.1, "cache_key": "k", "metadata": {"a": "b"}, "user": "u",
}  # fmt: skip


@pytest.mark.parametrize("name", LOSSES)
def test_what_google_has_no_field_for_is_told(name: str) -> None:
    request = ChatRequest((HI,), tools=(LOOK,), **{name: LOSSES[name]})
    _, dropped = encoded(request)
    assert len(dropped) == 1
    assert name in dropped[0]


@pytest.mark.parametrize(
    ("tier", "vertex", "told"),
    [("flex", False, "flex"), ("default", False, "standard"), ("auto", False, None), ("auto", True, None)],
)
def test_service_tiers(tier: str, vertex: bool, told: str | None) -> None:
    assert body_of(ChatRequest((HI,), service_tier=tier), vertex=vertex).get("serviceTier") == told


@pytest.mark.parametrize(("tier", "vertex"), [("flex", True), ("scale", False)])
def test_a_service_tier_that_is_not_known_is_told_of(tier: str, vertex: bool) -> None:
    _, dropped = encoded(ChatRequest((HI,), service_tier=tier), vertex=vertex)
    assert len(dropped) == 1


def test_every_field_of_a_request_is_carried_or_told_of() -> None:
    carried = {
        "messages", "tools", "tool_choice", "max_tokens", "temperature", "top_p", "top_k", "stop", "seed",
        "frequency_penalty", "presence_penalty", "response_format", "reasoning_effort", "reasoning_budget",
        "shows_reasoning", "logprobs", "top_logprobs", "web_search", "modalities", "service_tier",
        "stream", "warnings",  # in the address; and told by the dialect
    }  # fmt: skip
    assert {field.name for field in fields(ChatRequest)} == carried | LOSSES.keys()


def test_cache_marks_details_names_and_citations_are_told_of_once() -> None:
    parts = (
        Text("a", cache_control={"type": "ephemeral"}),
        Image(data="aGk=", detail="high"),
        File(text="b", citations=True),
    )
    _, dropped = encoded(ChatRequest((Message("user", parts, "Ann"), Message("user", parts, "Ann"))))
    assert len(dropped) == len(set(dropped)) == 4
