"""One provider's models as the catalogue spells them: one JSON object per line, and how they are found by name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import msgspec

from services.core.policy.documents import Capabilities, Model, PricePeriod, Prices
from services.core.policy.model_checks import check_facts
from services.core.policy.ports import CatalogueEntry
from services.core.pricing import span_of
from services.runtime.catalogue.names import family, is_dated, spelling


class Line(msgspec.Struct, omit_defaults=True):
    """A model.

    Attributes:
        id: The name that the provider knows it by.
        names: Other names that the provider knows it by.
        prefixes: What other names of it begin with.
    """

    id: str
    name: str = ""
    names: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    kind: str = "chat"
    api: str = ""
    released: str = ""
    deprecated: bool = False
    context_length: int = 0
    max_output_tokens: int = 0
    capabilities: Capabilities = Capabilities()
    prices: Prices = Prices()
    price_periods: tuple[PricePeriod, ...] = ()


_decode = msgspec.json.Decoder(Line).decode


class Unreadable(Exception):
    """A line is not a model. `line` counts from 1."""

    def __init__(self, line: int, told: str) -> None:
        super().__init__(f"line {line}: {told}")


class Book:
    """The models of one provider, by every name they have.

    Raises:
        Unreadable: A line is not a model, or holds a number that cannot be.
    """

    def __init__(self, lines: Iterable[str]) -> None:
        self.entries: dict[str, CatalogueEntry] = {}
        self._names: dict[str, str] = {}
        self._spellings: dict[str, str] = {}
        self._families: dict[str, str] = {}
        self._tails: dict[str, str] = {}
        self._prefixes: list[tuple[str, str]] = []
        for number, text in enumerate(lines, 1):
            if text.strip():
                self._add(_read(number, text))
        self._prefixes.sort(key=lambda pair: -len(pair[0]))

    def _add(self, line: Line) -> None:
        self.entries[line.id] = _entry(line)
        for name in (line.id, *line.names):
            self._names[name] = line.id
            self._spellings.setdefault(spelling(name), name)
            self._prefer(self._families, family(name), name)
            author, slash, tail = name.partition("/")
            if slash and author:
                self._prefer(self._tails, family(tail), name)
        self._prefixes.extend((prefix, line.id) for prefix in line.prefixes)

    def _prefer(self, names: dict[str, str], key: str, name: str) -> None:
        """Of several releases, a caller who names none gets the undated one, else "latest", else the newest."""
        held = names.get(key)
        if held is None or _rank(name) > _rank(held):
            names[key] = name

    def find(self, model: str) -> CatalogueEntry | None:
        """The model that `model` names; None: none does.

        Its `model` is the provider's own name where `model` is one or is another spelling of one. A
        release that is not listed keeps its name and has the facts of its family.
        """
        known = self._names.get(model)
        if known is not None:
            return self._as(known, model)
        respelt = self._spellings.get(spelling(model))
        if respelt is not None:
            return self._as(self._names[respelt], respelt)
        kin = self._families.get(family(model)) or self._tails.get(family(model))
        if kin is not None:
            return self._as(self._names[kin], model if is_dated(model) else kin)
        for prefix, name in self._prefixes:
            if model.startswith(prefix):
                return self._as(name, model)
        return None

    def _as(self, known: str, name: str) -> CatalogueEntry:
        entry = self.entries[known]
        return entry if entry.model == name else replace(entry, model=name)


def _rank(name: str) -> tuple[int, str]:
    if not is_dated(name):
        return 2, ""
    return (1, "") if name.endswith("-latest") else (0, name)


def _read(number: int, text: str) -> Line:
    try:
        line = _decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Unreadable(number, str(error)) from error
    facts = Model(
        name=line.id,
        context_length=line.context_length,
        max_output_tokens=line.max_output_tokens,
        prices=line.prices,
        price_periods=line.price_periods,
    )
    for path, message in check_facts(facts):
        raise Unreadable(number, f"{line.id}: {path} {message}")
    return line


def _entry(line: Line) -> CatalogueEntry:
    return CatalogueEntry(
        model=line.id,
        context_length=line.context_length,
        capabilities=line.capabilities,
        prices=line.prices,
        max_output_tokens=line.max_output_tokens,
        spans=tuple(span_of(period) for period in line.price_periods),
        api=line.api,
        display_name=line.name or line.id,
        kind=line.kind,
        released=line.released,
        deprecated=line.deprecated,
    )
