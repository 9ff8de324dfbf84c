"""Who asks, and within which conversation: an end user is no session, and a session stands for a user only if none is named."""

from __future__ import annotations

import json

import pytest

from services.dataplane.dialects.registry import DIALECTS

MESSAGES = {"messages": [{"role": "user", "content": "Hi"}]}
CASES = [
    ("chat.completions", {**MESSAGES, "session_id": "s", "user": "u"}, {}, "u", "s"),
    ("chat.completions", {**MESSAGES, "user": "u"}, {}, "u", ""),
    ("chat.completions", MESSAGES, {"x-session-id": "s"}, "s", "s"),
    ("messages", {**MESSAGES, "max_tokens": 9, "metadata": {"user_id": "u"}}, {}, "u", ""),
    (
        "messages",
        {**MESSAGES, "max_tokens": 9, "metadata": {"user_id": "u"}},
        {"x-claude-code-session-id": "s"},
        "u",
        "s",
    ),
    ("messages", {**MESSAGES, "max_tokens": 9, "session_id": "s"}, {"x-session-id": "other"}, "s", "s"),
    ("responses", {"input": "Hi", "safety_identifier": "u"}, {}, "u", ""),
    ("responses", {"input": "Hi", "safety_identifier": "u", "conversation": {"id": "s"}}, {}, "u", "s"),
    ("responses", {"input": "Hi", "prompt_cache_key": "s"}, {}, "s", "s"),
]


@pytest.mark.parametrize(("api", "body", "headers", "user", "session"), CASES)
def test_users_and_sessions_are_told_apart(
    api: str, body: dict[str, object], headers: dict[str, str], user: str, session: str
) -> None:
    dialect = next(each for each in DIALECTS if each.api == api)
    context = dialect.read(json.dumps({"model": "m", **body}).encode(), headers).context
    assert (context.user, context.session) == (user, session)
