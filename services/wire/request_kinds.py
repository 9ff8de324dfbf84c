"""What a request is like: the kinds of requests that it belongs to, for variants that choose by what was learned.

The text is looked at here and goes no further: a decision gets weights of kinds, and nothing can be read from those.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from services.core.routing.context import RequestContext
from services.core.routing.learned.clusters import NO_KINDS, Kinds, Weights, weights
from services.core.routing.learned.features import features
from services.core.values import changed


def with_kinds(context: RequestContext, messages: Sequence[Mapping[str, Any]], kinds: Kinds) -> RequestContext:
    """The facts of a request with its kinds; `messages` are as conditions see them."""
    return changed(context, phi=kinds_of(messages, context.needs, kinds), kinds=kinds.version)


def kinds_of(messages: Sequence[Mapping[str, Any]], needs: frozenset[str], kinds: Kinds) -> Weights:
    """The kinds of the last message of the user that has a text; none: no message has one."""
    text = next((t for m in reversed(messages) if m.get("role") == "user" and (t := _text(m))), "")
    if not text:
        return NO_KINDS
    vector = features(
        text,
        turns=len(messages),
        tools="tools" in needs,
        images="vision" in needs,
        wants_json="json_schema" in needs,
    )
    return weights(kinds.clusters, vector)


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    return content if isinstance(content, str) and not content.isspace() else ""
