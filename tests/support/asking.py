"""The smallest request of each HTTP API."""

from __future__ import annotations

from typing import Any


def question(api: str, model: str = "p/m", text: str = "x", **more: Any) -> dict[str, Any]:
    """A body that asks `text` of `model`; the rest by keyword."""
    messages = [{"role": "user", "content": text}]
    if api == "responses":
        return {"model": model, "input": messages, **more}
    body = {"model": model, "messages": messages, **more}
    return {"max_tokens": 9, **body} if api == "messages" else body
