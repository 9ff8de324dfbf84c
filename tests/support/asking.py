"""The smallest request of each HTTP API, and where it is sent."""

from __future__ import annotations

from typing import Any

from services.dataplane.translation import MODEL_HEADER, STREAM_HEADER

PATHS = {
    "chat.completions": "/v1/chat/completions",
    "messages": "/v1/messages",
    "openrouter.chat.completions": "/api/v1/chat/completions",
    "responses": "/v1/responses",
}


def question(api: str, model: str = "p/m", text: str = "x", **more: Any) -> dict[str, Any]:
    """A body that asks `text` of `model`; the rest by keyword."""
    if api == "generateContent":
        # The address says which model it is, and whether to stream; reasoning is hidden unless it is asked for.
        more.pop("stream", None)
        config = {"thinkingConfig": {"includeThoughts": True}}
        return {"contents": [{"role": "user", "parts": [{"text": text}]}], "generationConfig": config, **more}
    messages = [{"role": "user", "content": text}]
    if api == "responses":
        return {"model": model, "input": messages, **more}
    body = {"model": model, "messages": messages, **more}
    return {"max_tokens": 9, **body} if api == "messages" else body


def asked_headers(api: str, model: str = "p/m", *, stream: bool = False) -> dict[str, str]:
    """What the bridge tells the worker beside a body that does not say it."""
    return {MODEL_HEADER: model, STREAM_HEADER: "true" if stream else "false"} if api == "generateContent" else {}


def address(api: str, model: str = "p/m", *, stream: bool = False) -> str:
    """Path and query of a request over HTTP."""
    verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
    return f"/v1beta/models/{model}:{verb}" if api == "generateContent" else PATHS[api]
