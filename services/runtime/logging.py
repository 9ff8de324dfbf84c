"""Logs: one line per event, for people or, with TURNOUT_LOG_FORMAT=json, for machines."""

from __future__ import annotations

import json
import logging
import os
import sys
from datetime import UTC, datetime

_TALKATIVE = ("aiohttp.access", "asyncio", "grpc", "h2", "hpack", "httpcore", "httpx", "requests", "urllib3")
"""Libraries that would drown our own words at the level debug, with a line per call or per byte."""


class _JsonFormatter(logging.Formatter):
    """One JSON object per line."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        row = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "service": self._service,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            row["exception"] = self.formatException(record.exc_info)
        return json.dumps(row, ensure_ascii=False)


def configure_logging(service: str) -> None:
    """Send logs to standard error; level from TURNOUT_LOG_LEVEL (default info), form from TURNOUT_LOG_FORMAT.

    Libraries that talk much are heard from the level warning on, whatever the level.
    """
    handler = logging.StreamHandler(sys.stderr)
    if os.environ.get("TURNOUT_LOG_FORMAT", "").lower() == "json":
        handler.setFormatter(_JsonFormatter(service))
    else:
        form = f"%(asctime)s %(levelname)-7s {service} %(message)s"
        handler.setFormatter(logging.Formatter(form, datefmt="%H:%M:%S"))
    level = os.environ.get("TURNOUT_LOG_LEVEL", "info").upper()
    known = level if level in {"DEBUG", "INFO", "WARNING", "ERROR"} else "INFO"
    logging.basicConfig(level=known, handlers=[handler], force=True)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
