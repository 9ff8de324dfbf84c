"""Policies for tests: YAML as operators write it, compiled against a small catalogue that never changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from services.core.errors import Problem
from services.core.policy.compile import Problems, compile
from services.core.policy.documents import Capabilities, Catalogue, Document, Prices, ResourceKey, Scores, key_of
from services.core.policy.ports import CatalogueEntry, Located
from services.core.policy.snapshot import Snapshot
from services.runtime.conditions import CelCompiler
from services.wire.document_form import read_yaml
from services.wire.policy import to_document

CONDITIONS = CelCompiler()


def _entry(
    model: str, context: int, capabilities: Capabilities | None = None, prices: Prices | None = None
) -> CatalogueEntry:
    return CatalogueEntry(model, context, capabilities or Capabilities(), prices or Prices())


class SmallCatalogue:
    """A catalogue of six models at three providers. The shipped one changes with its releases."""

    version = "small"
    entries: Mapping[str, CatalogueEntry] = {
        "openai/gpt-5": _entry("gpt-5", 400_000, Capabilities(tools=True, vision=True), Prices(1.25, 10.0, 0.125)),
        "openai/gpt-5-mini": _entry("gpt-5-mini", 400_000, Capabilities(tools=True, vision=True), Prices(0.25, 2.0)),
        "openai/whisper": _entry("whisper", 0, Capabilities(tools=False, vision=False)),
        "anthropic/claude": _entry(
            "claude", 200_000, Capabilities(tools=True, prefill=True), Prices(3.0, 15.0, 0.3, 3.75)
        ),
        "mistral/large": _entry("large", 128_000, Capabilities(tools=True, vision=False), Prices(2.0, 6.0)),
        "mistral/gpt-5": _entry("gpt-5", 100_000),
    }

    scores: Mapping[str, Scores] = {
        "claude": Scores(intelligence=0.8, math=0.7, coding=0.9),
        "large": Scores(intelligence=0.6, coding=0.5),
    }

    def look_up(self, provider: Located, model: str) -> CatalogueEntry | None:
        return self.entries.get(f"{provider.name}/{model}")

    def models_of(self, provider: Located) -> tuple[CatalogueEntry, ...]:
        return tuple(entry for name, entry in self.entries.items() if name.partition("/")[0] == provider.name)

    def serving(self, model: str, providers: Iterable[Located]) -> tuple[tuple[str, str], ...]:
        names = {provider.name for provider in providers}
        found = (name.partition("/")[0] for name in self.entries if name.partition("/")[2] == model)
        return tuple((name, model) for name in found if name in names)

    def scores_of(self, model: str) -> Scores:
        return self.scores.get(model, Scores())

    def overlaid(self, documents: Sequence[Catalogue]) -> tuple[SmallCatalogue, Sequence[Problem]]:
        del documents
        return self, ()


def documents_in(text: str) -> dict[ResourceKey, Document]:
    """The documents of a YAML text, whose form must be right."""
    resources, problems = read_yaml(text)
    assert not problems, "\n".join(map(str, problems))
    documents = [to_document(resource) for resource in resources]
    return {key_of(document): document for document in documents}


def compiled(text: str, revision: int = 1) -> Snapshot | Problems:
    """What the compiler makes of a YAML text."""
    return compile(documents_in(text), CONDITIONS, SmallCatalogue(), revision=revision)


def snapshot_of(text: str) -> Snapshot:
    """The snapshot of a YAML text, which must compile."""
    found = compiled(text)
    assert isinstance(found, Snapshot), "\n".join(map(str, found.problems))
    return found
