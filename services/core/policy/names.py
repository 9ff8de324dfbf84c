"""The grammar of names."""

from __future__ import annotations

import re

ROUTER = re.compile(r"\A[a-z0-9][a-z0-9-]{0,62}\Z")
PROVIDER = re.compile(r"\A[a-z0-9][a-z0-9._-]{0,62}\Z")
ID = re.compile(r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z")
VARIABLE = re.compile(r"\A[A-Za-z_][A-Za-z0-9_]*\Z")
"""What a condition can read."""
URL = re.compile(r"\Ahttps?://[A-Za-z0-9.\-\[\]:_]+(/[^\s?#]*)?\Z")
STORED = r"env:[A-Za-z_][A-Za-z0-9_]*|file:/\S+"
"""References whose secret is read as it is."""
MINTED = r"aws:default|aws:profile/[^\s#]+|google:default|google:file:/\S+|azure:default"
"""References whose secret a vendor's library makes, for a time."""
CREDENTIAL = re.compile(rf"\A(?:{STORED}|{MINTED})\Z")
CREDENTIAL_FORMS = (
    "env:NAME, file:/absolute/path, aws:default, aws:profile/NAME, google:default, google:file:/absolute/path "
    "or azure:default"
)
VOICE = re.compile(r"\A\S(?:[^\x00-\x1f\x7f]{0,126}\S)?\Z")
_MODEL = re.compile(r"\A[^\s/][^\s]{0,254}\Z")
ROUTERS_PREFIX = "routers/"
AUTO = "auto"
"""Names no model: the one that suits the request best is chosen."""
AUTO_NAMES = frozenset({AUTO, "openrouter/auto"})


def split_model(model: str) -> tuple[str, str]:
    """(provider, rest) of "provider/model"; the rest may hold slashes. ("", model) for a bare model."""
    provider, slash, rest = model.partition("/")
    return (provider, rest) if slash and rest else ("", model)


def valid_model(model: str) -> bool:
    """Whether `model` can be a model id."""
    return _MODEL.match(model) is not None


def derive_name(display_name: str) -> str:
    """A router's name from its name for people: "User-Aware" gives "user-aware"; empty when nothing is left."""
    return re.sub(r"[^a-z0-9]+", "-", display_name.lower()).strip("-")[:63].rstrip("-")


def bare_router_name(name: str) -> str:
    """`name` without the "routers/" that some clients put before it."""
    return name.removeprefix(ROUTERS_PREFIX)
