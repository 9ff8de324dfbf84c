"""Whose reasoning it is: vendors in the exchange model's words, in those of OpenRouter's `reasoning_details`, and
in proofs that travel through the protocol of another vendor.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping

from services.dataplane.exchange import Message, Thinking, ToolCall

FORMATS: Mapping[str, str] = {
    "anthropic": "anthropic-claude-v1",
    "openai": "openai-responses-v1",
    "google": "google-gemini-v1",
    "xai": "xai-responses-v1",
    "azure": "azure-openai-responses-v1",
}
"""The `format` of a detail by vendor."""

_VENDORS: Mapping[str, str] = {told: vendor for vendor, told in FORMATS.items()}


def format_of(vendor: str) -> str:
    """The `format` of a vendor's reasoning."""
    return FORMATS.get(vendor, vendor or "unknown")


def vendor_of(told: object) -> str:
    """The vendor of a `format`; empty: not known. A form that this table lacks is a vendor of its own."""
    if not isinstance(told, str) or told == "unknown":
        return ""
    return _VENDORS.get(told, told)


_SEAL = "turnout"
CALL = "call"
"""Stands for the vendor of a proof that belongs to a tool call."""
CALL_PROOFS_LOST = "proofs of tool calls were dropped: only Google's models read them"


ANTHROPIC = frozenset({"", "anthropic"})
"""Whose proofs Anthropic's protocol carries as they are: its own, and what belongs to nobody that is known."""
RESPONSES = frozenset({"openai", "responses"})
"""Whose proofs OpenAI's Responses API carries as they are."""
GOOGLE = frozenset({"google"})
"""Whose proofs Google's protocol carries as they are."""


def sealed(thinking: Thinking, own: frozenset[str] = ANTHROPIC) -> str:
    """The proof of `thinking` for a protocol that knows the proofs of `own`: others are wrapped with their vendor."""
    proof = thinking.redacted or thinking.signature
    if not proof or thinking.vendor in own:
        return proof
    kind = "redacted" if thinking.redacted else "signature"
    return f"{_SEAL}:{thinking.vendor}:{kind}:{thinking.id}:{proof}"


def opened(proof: str, bare: str = "anthropic") -> Thinking:
    """What `sealed` made of reasoning, without its text; a bare proof is that of `bare`."""
    pieces = proof.split(":", 4)
    if len(pieces) != 5 or pieces[0] != _SEAL:
        return Thinking(signature=proof, vendor=bare if proof else "")
    _, vendor, kind, named, inner = pieces
    if kind == "redacted":
        return Thinking(redacted=inner, vendor=vendor, id=named)
    return Thinking(signature=inner, vendor=vendor, id=named)


SEALED_IN_BASE64 = b"dHVybm91dD"
"""How every proof of another vendor's begins in Google's protocol, whose proofs are base64."""


def sealed_for_google(thinking: Thinking) -> str:
    """As `sealed`, for Google's protocol, whose proofs are base64; empty: there is no proof.

    SDKs refuse an answer with a proof that is no base64, so one that claims to be Google's and is none is wrapped too.
    """
    proof = sealed(thinking, GOOGLE)
    if proof and not is_sealed(proof) and _bytes_of(proof) is None:
        proof = sealed(thinking, frozenset())
    return b64encode(proof.encode("utf-8", "surrogatepass")).decode() if is_sealed(proof) else proof


def opened_for_google(proof: str) -> Thinking:
    """What `sealed_for_google` made of reasoning, without its text; a bare proof is Google's."""
    if proof.startswith(SEALED_IN_BASE64.decode()):
        inner = (_bytes_of(proof) or b"").decode("utf-8", "replace")
        found = opened(inner, "")
        if found.signature != inner:
            return found
    return Thinking(signature=proof, vendor="google" if proof else "")


def _bytes_of(proof: str) -> bytes | None:
    """What a proof in base64 stands for, in either alphabet and with or without its padding; None: it is none."""
    plain = proof.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except ValueError:
        return None


def note_call_proofs(messages: Iterable[Message], dropped: list[str]) -> None:
    """Tell in `dropped` that proofs of tool calls do not reach a model of another vendor."""
    for message in messages:
        for part in message.parts:
            if isinstance(part, ToolCall) and part.signature:
                dropped.append(CALL_PROOFS_LOST)
                return


def is_sealed(proof: object) -> bool:
    """Whether a proof is another vendor's, which the protocol's own vendor refuses."""
    return isinstance(proof, str) and proof.startswith(f"{_SEAL}:")
