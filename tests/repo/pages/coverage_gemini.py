"""The fields of Gemini's generateContent, each with a value to probe it with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.repo.pages.coverage_form import SCHEMA, Change, Pair, Probes

_ROUTED = "read by the router"
_FUNCTION = {"name": "time", "description": "Tells it", "parametersJsonSchema": SCHEMA}
_DECLARED = [{"functionDeclarations": [_FUNCTION]}]
_OLD_SCHEMA = {"type": "OBJECT", "properties": {"a": {"type": "STRING", "nullable": True}}, "propertyOrdering": ["a"]}
_ASKED = {"role": "user", "parts": [{"text": "Hi"}]}
_MORE = {"role": "user", "parts": [{"text": "And?"}]}

_FIELDS: Mapping[str, Any] = {
    "contents": [{"role": "user", "parts": [{"text": "Hello"}]}],
    "systemInstruction": {"parts": [{"text": "Be kind."}]},
    "tools": _DECLARED,
    "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["time"]}},
    "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],
    "generationConfig": {"temperature": 0.5},
    "cachedContent": "cachedContents/a",
    "model": "models/p/m",
}
_NEWER: Mapping[str, Any] = {
    "labels": {"team": "a"},
    "serviceTier": "flex",
    "modelArmorConfig": {"promptTemplateName": "projects/p/locations/l/templates/t"},
    "store": True,
}
_HOUSE: Mapping[str, Any] = {
    "extra_body": {"models": ["q/n"]},
    "metadata": {"tier": "gold"},
    "models": ["q/n"],
    "ignore": ["q"],
    "provider": {"order": ["p"]},
    "fallback": {"ttft_timeout": "2s"},
    "sort": "price",
    "user": "u",
}
_CONFIG: Mapping[str, Any] = {
    "candidateCount": 2,
    "stopSequences": ["END"],
    "maxOutputTokens": 50,
    "temperature": 0.5,
    "topP": 0.5,
    "topK": 20,
    "seed": 7,
    "presencePenalty": 0.5,
    "frequencyPenalty": 0.5,
    "responseLogprobs": True,
    "enableEnhancedCivicAnswers": True,
    "responseModalities": ["TEXT", "IMAGE"],
    "speechConfig": {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Kore"}}},
    "thinkingConfig": {"thinkingBudget": 2048, "includeThoughts": True},
    "imageConfig": {"aspectRatio": "16:9"},
    "mediaResolution": "MEDIA_RESOLUTION_LOW",
    "audioTimestamp": True,
    "routingConfig": {"manualMode": {"modelName": "m"}},
}


def _config(**members: Any) -> Change:
    return {"generationConfig": {"temperature": 0.7, **members}}


def _of_config(name: str, value: Any) -> Pair:
    return _config(), _config(**{name: value})


def _said(part: Any) -> Pair:
    """A part of the user's turn."""
    return {}, {"contents": [{"role": "user", "parts": [{"text": "Hi"}, part]}]}


def _answered(*parts: Any, reply: Any = None) -> Change:
    answered = {"role": "user", "parts": [reply]} if reply else _MORE
    return {"tools": _DECLARED, "contents": [_ASKED, {"role": "model", "parts": list(parts)}, answered]}


_CALL = {"functionCall": {"name": "time", "args": {"a": "b"}}}
_RESPONSE = {"functionResponse": {"name": "time", "response": {"result": "Noon"}}}
_FAILED = {"functionResponse": {"name": "time", "response": {"error": "No clock"}}}
_PICTURED = {
    "functionResponse": {
        "name": "time",
        "response": {"result": "Noon"},
        "parts": [{"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}}],
    }
}
_JSON = {"responseMimeType": "application/json"}


def _tool(**tool: Any) -> Pair:
    return {}, {"tools": [tool]}


def _media(media_type: str) -> Pair:
    return _said({"inlineData": {"mimeType": media_type, "data": "AAAA"}})


def _address(media_type: str, url: str) -> Pair:
    return _said({"fileData": {"mimeType": media_type, "fileUri": url}})


GEMINI = Probes(
    title="Gemini's generateContent and streamGenerateContent",
    base={"model": "p/m", "contents": [_ASKED]},
    fields={**_FIELDS, **_NEWER, **_HOUSE},
    parts={
        **{f"generationConfig.{name}": _of_config(name, value) for name, value in _CONFIG.items()},
        "generationConfig.logprobs": (_config(responseLogprobs=True), _config(responseLogprobs=True, logprobs=2)),
        "generationConfig.responseMimeType": _of_config("responseMimeType", "application/json"),
        "generationConfig.responseSchema": (_config(**_JSON), _config(**_JSON, responseSchema=_OLD_SCHEMA)),
        "generationConfig.responseJsonSchema": (_config(**_JSON), _config(**_JSON, responseJsonSchema=SCHEMA)),
        "an answer of an enumeration": _of_config("responseMimeType", "text/x.enum"),
        "level of thinking": _of_config("thinkingConfig", {"thinkingLevel": "LOW"}),
        "picture": _media("image/png"),
        "picture by address": _address("image/png", "https://example.com/a.png"),
        "sound": _media("audio/wav"),
        "video": _media("video/mp4"),
        "video by address": _address("video/mp4", "https://example.com/a.mp4"),
        "document": _media("application/pdf"),
        "document by address": _address("application/pdf", "https://example.com/a.pdf"),
        "file at Google's store": _address("application/pdf", "gs://bucket/a.pdf"),
        "part of a video": (
            _said({"inlineData": {"mimeType": "video/mp4", "data": "AAAA"}})[1],
            _said({"inlineData": {"mimeType": "video/mp4", "data": "AAAA"}, "videoMetadata": {"startOffset": "5s"}})[1],
        ),
        "call and response": (_answered({"text": "a"}), _answered(_CALL, reply=_RESPONSE)),
        "failed response": (_answered(_CALL, reply=_RESPONSE), _answered(_CALL, reply=_FAILED)),
        "picture in a response": (_answered(_CALL, reply=_RESPONSE), _answered(_CALL, reply=_PICTURED)),
        "thought with Google's proof": (
            _answered({"text": "4"}),
            _answered({"text": "Hm.", "thought": True, "thoughtSignature": "c2ln"}, {"text": "4"}),
        ),
        "thought with another proof": (
            _answered({"text": "4"}),
            _answered(
                {
                    "text": "Hm.",
                    "thought": True,
                    "thoughtSignature": "dHVybm91dDphbnRocm9waWM6c2lnbmF0dXJlOjpzaWc=",
                },
                {"text": "4"},
            ),
        ),
        "executed code": (
            _answered({"text": "4"}),
            _answered({"executableCode": {"language": "PYTHON", "code": "2+2"}}, {"text": "4"}),
        ),
        "call of Google's own tool": (
            _answered({"text": "4"}),
            _answered({"toolCall": {"id": "t1", "toolType": "GOOGLE_SEARCH_WEB", "args": {}}}, {"text": "4"}),
        ),
        "functions with Google's schemas": _tool(functionDeclarations=[{"name": "time", "parameters": _OLD_SCHEMA}]),
        "what a function returns": (
            {"tools": _DECLARED},
            {"tools": [{"functionDeclarations": [{**_FUNCTION, "responseJsonSchema": SCHEMA}]}]},
        ),
        "calls as their schemas say": (
            {"tools": _DECLARED},
            {"tools": _DECLARED, "toolConfig": {"functionCallingConfig": {"mode": "VALIDATED"}}},
        ),
        "where the user is": (
            {"tools": _DECLARED},
            {"tools": _DECLARED, "toolConfig": {"retrievalConfig": {"latLng": {"latitude": 1, "longitude": 2}}}},
        ),
        "web search": _tool(googleSearch={}),
        "domains left out of a search": _tool(googleSearch={"excludeDomains": ["example.com"]}),
        "time range of a search": (
            {"tools": [{"googleSearch": {}}]},
            {"tools": [{"googleSearch": {"timeRangeFilter": {"startTime": "2025-01-01T00:00:00Z"}}}]},
        ),
        "code execution": _tool(codeExecution={}),
        "pages by address": _tool(urlContext={}),
        "maps": _tool(googleMaps={}),
    },
    here={
        "model": "the address names it; over gRPC the body may",
        "labels": "metadata for conditions of routing; Vertex AI gets them too",
        "user": "the sticky unit",
        "metadata": "for conditions of routing",
        **dict.fromkeys(("extra_body", "models", "ignore", "provider", "fallback", "sort"), _ROUTED),
    },
    spec=frozenset(_FIELDS),
)

GEMINI_WITH: Mapping[str, Any] = {"toolConfig": {"tools": _DECLARED}}
"""What a field needs beside it."""
