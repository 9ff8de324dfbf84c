"""The inbound dialects by API. Adding one is adding a line."""

from __future__ import annotations

from collections.abc import Mapping

from services.dataplane.dialects.anthropic_messages import AnthropicMessages
from services.dataplane.dialects.gemini import GenerateContent
from services.dataplane.dialects.gemini_count import CountContents
from services.dataplane.dialects.inworld_speech import InworldSpeech
from services.dataplane.dialects.openai_chat import OpenAiChat
from services.dataplane.dialects.openrouter_chat import OpenRouterChat
from services.dataplane.dialects.operations import COUNT_TOKENS, OPERATIONS, OperationDialect
from services.dataplane.dialects.responses import OpenAiResponses
from services.dataplane.dialects.stored_responses import StoredResponses
from services.dataplane.dialects.typed_chat import TypedChat
from services.dataplane.operations.registry import translate
from services.dataplane.providers.registry import codec_for
from services.dataplane.translation import Dialect
from services.runtime.clock import SystemClock

TYPED = TypedChat(codec_for)

DIALECTS: tuple[Dialect, ...] = (
    OpenAiChat(codec_for, SystemClock().wall),
    OpenRouterChat(codec_for, SystemClock().wall),
    AnthropicMessages(codec_for),
    OpenAiResponses(codec_for, SystemClock().wall),
    GenerateContent(codec_for),
    TYPED,
)
"""Those of chat."""

OPERATION_DIALECTS: tuple[Dialect, ...] = (
    *(OperationDialect(operation, translate) for operation in (*OPERATIONS, COUNT_TOKENS)),
    CountContents(translate),
    InworldSpeech(translate),
    StoredResponses(codec_for),
)


_BY_API: Mapping[str, Dialect] = {d.api: d for d in (*DIALECTS, *OPERATION_DIALECTS)}


def dialect_of(api: str) -> Dialect:
    """The dialect of `api`.

    Raises:
        KeyError: There is none; APIs are a closed set.
    """
    return _BY_API[api]
