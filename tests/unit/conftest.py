"""Settings of all unit tests."""

from __future__ import annotations

from hypothesis import settings

# A slow machine is no fault of an example.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")
