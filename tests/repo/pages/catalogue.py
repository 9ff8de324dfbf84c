"""docs/catalogue.md: how many models the shipped catalogue knows of each provider, and of which kinds."""

from __future__ import annotations

from collections import Counter

from services.core.policy.provider_types import PROVIDER_TYPES
from services.runtime.catalogue.names import provider_id
from services.runtime.catalogue.shipped import Shipped
from tests.repo.pages.markdown import head, prose, table

SOURCE = "services/runtime/catalogue/models.jsonl"

INTRO = """
    What the shipped catalogue knows, by provider; [models.md](models.md) says how it is used, laid over and made anew. A
    provider with a type is named so in the policy; one without is `openai_compatible` with its own address, by which the
    catalogue finds it.
"""


def page() -> str:
    shipped = Shipped()
    types: dict[str, list[str]] = {}
    for name in PROVIDER_TYPES:
        types.setdefault(provider_id(name), []).append(f"`{name}`")
    rows = []
    kinds: Counter[str] = Counter()
    priced_in_all = 0
    for place, section in shipped.sections.items():
        book = shipped.book(place)
        assert book is not None, "every section has a book"
        found = Counter(entry.kind for entry in book.entries.values())
        priced = sum(entry.prices.input_per_million is not None for entry in book.entries.values())
        others = ", ".join(f"{kind} {count}" for kind, count in sorted(found.items()) if kind != "chat")
        rows.append(
            (place, section.name, ", ".join(types.get(place, ())), str(found["chat"]), others, str(priced)),
        )
        kinds += found
        priced_in_all += priced
    sources = " and ".join(f"{name} {version}" for name, version in shipped.sources.items())
    told = (
        f"{kinds.total():,} models of {len(rows)} providers, {priced_in_all:,} with a price of input, from {sources}."
    )
    columns = ("in the catalogue", "name", "types", "chat", "other kinds", "with prices")
    return "\n".join([head("Catalogue", SOURCE), prose(INTRO), prose(told), table(columns, rows)])
