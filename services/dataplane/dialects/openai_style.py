"""What may differ between services that speak OpenAI's chat completions to callers; here, OpenAI's own way."""

from __future__ import annotations

from typing import Any

import msgspec

from services.core.errors import RouterError
from services.dataplane.dialects.openai_errors import error_object_of
from services.dataplane.translation import Evidence, Facts


class OpenAiStyle:
    """The differences for one attempt. Bodies and chunks are shown to it before they are written."""

    def chunk(self, data: bytes) -> bytes:
        """A chunk or a whole body: bytes that begin with `{` and hold one JSON object."""
        return data

    def finish(self, choice: dict[str, Any], native: str) -> None:
        """Complete a choice that has its finish reason; `native` is the provider's own word, or empty."""

    def message(self, message: dict[str, Any]) -> None:
        """Complete a message, or the delta of one."""

    def body(self) -> dict[str, Any]:
        """Members of a whole answer that it must have, where it has none of its own."""
        return {}

    def usage(self, cost_usd: float | None) -> dict[str, Any]:
        """What is added to usage; `cost_usd` None: not known."""
        return {} if cost_usd is None else {"cost": cost_usd}

    def evidence(self, evidence: Evidence) -> dict[str, Any]:
        """Members of the body, or of the last chunk, that show what was done."""
        return {"metadata": evidence.metadata}

    def broken(self, error: RouterError, evidence: Evidence, facts: Facts) -> bytes:
        """The data of the frame that tells an error inside a stream."""
        del facts
        return msgspec.json.encode({"error": error_object_of(error), "metadata": evidence.metadata})


OPENAI = OpenAiStyle()
