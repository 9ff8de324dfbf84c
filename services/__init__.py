"""Turnout: an open LLM router. Start reading at docs/architecture.md."""
