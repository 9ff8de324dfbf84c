"""Errors in the words of Inworld's speech API: a google.rpc.Status, whose code is that of gRPC."""

from __future__ import annotations

from typing import Any

import msgspec

from services.core.errors import RouterError
from services.dataplane.dialects import gemini_errors
from services.dataplane.translation import Evidence
from services.wire.google_words import rpc_code


def error_body(error: RouterError, evidence: Evidence | None) -> bytes:
    """The body of an error response."""
    more = {} if evidence is None else {"metadata": evidence.metadata}
    return msgspec.json.encode({**error_form(error), **more})


def error_form(error: RouterError) -> dict[str, Any]:
    """The status, as a body or as `error` of a stream's line."""
    told = gemini_errors.error_form(error, None)["error"]
    return {"code": rpc_code(error.status), "message": told["message"], "details": told["details"]}
