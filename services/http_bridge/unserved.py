"""APIs of the vendors that are not served here, and what to call in their place."""

from __future__ import annotations

from collections.abc import Mapping

_CHAT = "call /v1/chat/completions with `messages`"
_STATE = "nothing is kept here; send the conversation with each request to /v1/chat/completions or /v1/responses"
_FILES = "nothing is kept here; put the file into the request, as base64 in its message"
_PROVIDER = "call the provider itself"

_INSTEAD: Mapping[str, str] = {
    "completions": f"the completions API that came before chat is not served here: {_CHAT}",
    "edits": f"the edits API is not served here: {_CHAT}",
    "rerank": f"reranking is not served here: {_PROVIDER}, or compare vectors of /v1/embeddings",
    "images/variations": "variations of images are not served here: call /v1/images/edits with a prompt",
    "batches": "batches are not served here: send the requests one by one; routing, failover and limits hold for each",
    "messages/batches": "batches are not served here: send the messages one by one to /v1/messages",
    "files": f"files are not stored here: {_FILES}",
    "uploads": f"files are not stored here: {_FILES}",
    "vector_stores": f"vector stores are not served here: {_PROVIDER}",
    "containers": f"containers are not served here: {_PROVIDER}",
    "fine_tuning": f"fine-tuning is not served here: {_PROVIDER}, and name the model that comes of it",
    "evals": f"evals are not served here: {_PROVIDER}",
    "realtime": "realtime sessions are not served here: stream /v1/chat/completions, with `audio` for a spoken answer",
    "videos": f"videos are not made here: {_PROVIDER}",
    "assistants": f"assistants are not served here: {_STATE}",
    "threads": f"threads are not served here: {_STATE}",
    "conversations": f"conversations are not served here: {_STATE}",
}
"""What to tell, by what follows the version in a path."""

_VERSIONS = ("/v1/", "/v2/", "/api/v1/")


def told_instead(path: str) -> str:
    """What to tell a caller of an API that is known and not served; empty: the address is not one of those."""
    for version in _VERSIONS:
        if path.startswith(version):
            one, _, rest = path[len(version) :].partition("/")
            two = rest.partition("/")[0]
            return _INSTEAD.get(f"{one}/{two}") or _INSTEAD.get(one, "")
    return ""
