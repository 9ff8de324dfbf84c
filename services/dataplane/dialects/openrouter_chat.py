"""The inbound dialect of OpenRouter's chat completions: requests are OpenAI's, answers and errors OpenRouter's own."""

from __future__ import annotations

from collections.abc import Mapping

from services.core.errors import RouterError
from services.core.routing.plan import Candidate
from services.dataplane.dialects.openai_chat import OpenAiChat
from services.dataplane.dialects.openai_style import OpenAiStyle
from services.dataplane.dialects.openrouter_errors import error_body, error_chunk
from services.dataplane.dialects.openrouter_style import OpenRouterStyle, asks_metadata
from services.dataplane.sse import frame
from services.dataplane.translation import Evidence, TalkingDialect


class OpenRouterChat(OpenAiChat, TalkingDialect):
    """The dialect. Stateless; one per process."""

    api = "openrouter.chat.completions"
    comment = b": OPENROUTER PROCESSING\n\n"

    def error(self, error: RouterError, evidence: Evidence | None) -> tuple[int, bytes]:
        return error.status, error_body(error, evidence)

    def style(self, candidate: Candidate, headers: Mapping[str, str]) -> OpenAiStyle:
        return OpenRouterStyle(candidate.target.provider.name, self.now(), metadata=asks_metadata(headers))

    def error_frame(self, error: RouterError, evidence: Evidence) -> bytes:
        model = evidence.model or evidence.requested
        return frame(error_chunk(error, evidence, chunk_id="", created=self.now(), model=model))
