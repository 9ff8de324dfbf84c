"""Messages that a policy places before the caller's, with `{{name}}` replaced by request metadata."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from services.core.policy.documents import MessageTemplate

_NAME = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_.-]*)\s*\}\}")


def fill(template: MessageTemplate, metadata: Mapping[str, Any]) -> str:
    """The text of `template`; names that the metadata lacks become empty."""

    def value(match: re.Match[str]) -> str:
        found = metadata.get(match[1], "")
        return found if isinstance(found, str) else str(found)

    return _NAME.sub(value, template.content)
