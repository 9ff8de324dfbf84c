"""Turns that were spoken here, as callers send them back: sound is not kept, so the words have to be there."""

from __future__ import annotations

from typing import Any

from services.core.errors import InvalidRequest
from services.dataplane.members import Members, decoded, raw

ID_PREFIX = "audio_turnout_"
"""What ids of our sound begin with. Nothing is kept under them."""
_MARK = f'"{ID_PREFIX}'.encode()


def with_own_words(members: Members) -> Members:
    """A chat's body in which no message refers to sound that was made here; its transcript stands for it.

    Raises:
        InvalidRequest: A message has neither words nor a transcript.
    """
    messages = members.get("messages")
    if messages is None or _MARK not in bytes(messages):
        return members
    given = decoded(members, ("messages",))["messages"]
    if not isinstance(given, list):
        return members
    return {**members, "messages": raw([_in_words(message, index) for index, message in enumerate(given)])}


def _in_words(message: Any, index: int) -> Any:
    audio = message.get("audio") if isinstance(message, dict) else None
    if not isinstance(audio, dict) or not str(audio.get("id")).startswith(ID_PREFIX):
        return message
    rest = {name: value for name, value in message.items() if name != "audio"}
    if not rest.get("content") and not rest.get("tool_calls"):
        transcript = audio.get("transcript")
        if not isinstance(transcript, str) or not transcript:
            told = "sound that was made here is not kept: send the words of the answer as its `content`"
            raise InvalidRequest(told, param=f"messages[{index}].audio")
        rest["content"] = transcript
    return rest
