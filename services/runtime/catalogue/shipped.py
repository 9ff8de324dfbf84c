"""The catalogue that a release ships, and what the policy lays over it.

The file `models.jsonl` beside this module holds a line about itself, then per
provider a line about the provider and one line per model. Providers are read
when they are first asked for; a worker needs a few of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from hashlib import blake2b
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from services.core.errors import Problem
from services.core.policy.documents import Catalogue, Scores
from services.core.policy.names import split_model
from services.core.policy.ports import CatalogueEntry, Located
from services.core.policy.provider_types import PROVIDER_TYPES, base_url_of
from services.runtime.catalogue.book import Book, Unreadable
from services.runtime.catalogue.names import BEST_KNOWN, provider_id, rank
from services.runtime.catalogue.scores import scores_of

PATH = Path(__file__).with_name("models.jsonl")
HEAD = '{"provider":'
"""How the line of a provider begins; no model's line does."""
MAX_REMEMBERED = 16_384
"""Answers that are remembered; callers may name any model, so there must be a bound."""


class Section(msgspec.Struct, omit_defaults=True):
    """The line of a provider, and its models.

    Attributes:
        hosts: Where it listens.
        like: Vendors whose models it serves as well, at their prices; what it has itself comes first.
    """

    provider: str
    name: str = ""
    hosts: tuple[str, ...] = ()
    like: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()


class Shipped:
    """A catalogue file, read; models are decoded when a provider is first asked for.

    Raises:
        OSError: The file cannot be read.
        msgspec.DecodeError: It is no catalogue.
    """

    def __init__(self, path: Path = PATH) -> None:
        text = path.read_text(encoding="utf-8")
        lines = text.split("\n")
        self.version = blake2b(text.encode(), digest_size=6).hexdigest()
        self.sources: Mapping[str, str] = msgspec.json.decode(lines[0], type=dict[str, str])
        heads = [i for i, line in enumerate(lines) if line.startswith(HEAD)]
        ends = [*heads[1:], len(lines)]
        self.sections: dict[str, Section] = {}
        for start, end in zip(heads, ends, strict=True):
            section = msgspec.json.decode(lines[start], type=Section)
            section.lines = tuple(line for line in lines[start + 1 : end] if line)
            self.sections[section.provider] = section
        self.hosts: dict[str, str] = {}
        for section in self.sections.values():
            for host in section.hosts:
                # Of several at one host, the larger: a plan for a few models is a section of its own.
                held = self.sections.get(self.hosts.get(host, ""))
                if held is None or len(section.lines) > len(held.lines):
                    self.hosts[host] = section.provider
        self._books: dict[str, Book] = {}

    def book(self, place: str) -> Book | None:
        """The models of a provider; None: it is not in the file."""
        if place not in self._books and place in self.sections:
            self._books[place] = Book(self.sections[place].lines)
        return self._books.get(place)


@cache
def shipped() -> Shipped:
    """The catalogue that is shipped, read once; what is in it is never changed."""
    return Shipped()


class ShippedCatalogue:
    """The shipped catalogue, with the policy's own in place of a provider's where there is one."""

    def __init__(self, file: Shipped | None = None, own: Mapping[str, Book] | None = None) -> None:
        self._shipped = file or shipped()
        self._own = own or {}
        self._found: dict[tuple[str, str, str, str], CatalogueEntry | None] = {}
        self._read: dict[str, tuple[str, Book]] = {}
        self._places: dict[tuple[str, str, str], str] = {}
        """Places of providers; policy names them, so they are few."""

    @property
    def version(self) -> str:
        return self._shipped.version

    def look_up(self, provider: Located, model: str) -> CatalogueEntry | None:
        key = (provider.name, provider.type, provider.base_url, model)
        if key not in self._found:
            while len(self._found) >= MAX_REMEMBERED:
                del self._found[next(iter(self._found))]
            self._found[key] = self._search(self.place(provider), model)
        return self._found[key]

    def _search(self, place: str, model: str) -> CatalogueEntry | None:
        section = self._shipped.sections.get(place)
        for name in (place, *(section.like if section is not None else ())):
            book = self._book(name)
            found = book.find(model) if book is not None else None
            if found is not None:
                return found
        return None

    def models_of(self, provider: Located) -> tuple[CatalogueEntry, ...]:
        book = self._book(self.place(provider))
        return tuple(book.entries[name] for name in sorted(book.entries)) if book is not None else ()

    def serving(self, model: str, providers: Iterable[Located]) -> tuple[tuple[str, str], ...]:
        author, rest = split_model(model)
        wanted = provider_id(author) if author else ""
        found: list[tuple[int, str, str]] = []
        for provider in providers:
            place = self.place(provider)
            entry = self.look_up(provider, model)
            if entry is None and wanted and wanted == place:
                # The author is a provider under another name; a model that is not known yet is its business.
                entry = self.look_up(provider, rest) or CatalogueEntry(model=rest)
            if entry is not None:
                found.append((-1 if wanted and wanted == place else rank(place), provider.name, entry.model))
        return tuple((name, theirs) for _, name, theirs in sorted(found))

    def scores_of(self, model: str) -> Scores:
        return scores_of(model)

    def overlaid(self, documents: Sequence[Catalogue]) -> tuple[ShippedCatalogue, Sequence[Problem]]:
        if not documents:
            return (self if not self._own else ShippedCatalogue(self._shipped)), ()
        own: dict[str, Book] = {}
        problems: list[Problem] = []
        for document in documents:
            try:
                own[document.name] = self._book_of(document)
            except Unreadable as error:
                problems.append(Problem("Catalogue", document.name, "models", str(error)))
        return ShippedCatalogue(self._shipped, own), problems

    def place(self, provider: Located) -> str:
        """The catalogue's id of a provider; empty: not known."""
        key = (provider.name, provider.type, provider.base_url)
        if key not in self._places:
            self._places[key] = self._place(provider)
        return self._places[key]

    def _place(self, provider: Located) -> str:
        """Where a provider is.

        Its host tells, or the type that is a vendor's, or a name that only one vendor would be given: an
        operator's own server may be called "inference", which is a vendor too.
        """
        host = urlsplit(provider.base_url).hostname or ""
        if host in self._shipped.hosts:
            return self._shipped.hosts[host]
        named = provider_id(provider.name)
        if self._has(named) and (named in BEST_KNOWN or provider.name in PROVIDER_TYPES):
            return named
        kind, usual = provider_id(provider.type), base_url_of(provider.type)
        at_home = not usual or not provider.base_url or usual.rstrip("/") == provider.base_url.rstrip("/")
        return kind if at_home and self._has(kind) else ""

    def _has(self, place: str) -> bool:
        return place in self._own or place in self._shipped.sections

    def _book(self, place: str) -> Book | None:
        return self._own.get(place) or self._shipped.book(place)

    def _book_of(self, document: Catalogue) -> Book:
        """The book of a document; what was read once is not read again at the next change of the policy."""
        held = self._read.get(document.name)
        if held is None or held[0] != document.models:
            held = self._read[document.name] = (document.models, Book(document.models.split("\n")))
        return held[1]
