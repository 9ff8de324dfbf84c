"""What a simulated provider says: a labelled echo, or a tool call when one is demanded."""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any


@dataclass(frozen=True, slots=True)
class Script:
    """One simulated answer. `tool` empty: plain text."""

    id: str
    model: str
    words: tuple[str, ...]
    tool: str
    arguments: str
    input_tokens: int
    output_tokens: int

    @property
    def text(self) -> str:
        return "".join(self.words)


def write_script(provider: str, body: dict[str, Any], count: int) -> Script:
    """The answer of `provider` to its `count`-th request `body`, in either wire format."""
    model = str(body.get("model", ""))
    said = _last_words(body.get("messages"))
    text = f"[simulated answer of {provider}, model {model}] You said: {said or 'nothing'}"
    words = tuple(word if i == 0 else f" {word}" for i, word in enumerate(text.split(" ")))
    tool = _demanded_tool(body)
    digest = blake2b(f"{provider}/{count}".encode(), digest_size=9).hexdigest()
    return Script(
        id=digest,
        model=model,
        words=words,
        tool=tool,
        arguments=json.dumps({"simulated": True}) if tool else "",
        input_tokens=max(1, len(json.dumps(body.get("messages", []))) // 4),
        output_tokens=12 if tool else len(words),
    )


def _last_words(messages: Any) -> str:
    if not isinstance(messages, list) or not messages or not isinstance(messages[-1], dict):
        return ""
    content = messages[-1].get("content")
    if isinstance(content, list):
        content = " ".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return str(content or "").replace("\n", " ")[:200]


def _demanded_tool(body: dict[str, Any]) -> str:
    """The tool that `tool_choice` demands, in OpenAI's or Anthropic's words; empty: none."""
    tools = [t for t in body.get("tools") or [] if isinstance(t, dict)]
    names = [str(t.get("name") or (t.get("function") or {}).get("name") or "") for t in tools]
    choice = body.get("tool_choice")
    if not names:
        return ""
    if isinstance(choice, dict):
        if choice.get("type") == "any":
            return names[0]
        wanted = choice.get("name") or (choice.get("function") or {}).get("name")
        return str(wanted or "") if choice.get("type") in {"tool", "function"} else ""
    return names[0] if choice == "required" else ""
