"""The docs are current, complete and true as far as a machine can tell."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.cli.offline import check as check_offline
from services.core import errors
from services.core.attempts.verdicts import TABLE
from services.core.errors import FailureKind, RouterError
from services.core.policy.documents import KINDS
from services.runtime.names import ATTRIBUTE_MEANINGS, ATTRIBUTES, METRIC_MEANINGS, METRICS
from services.wire.document_form import read_form, read_yaml
from services.wire.status import CODES
from tests.repo.generate_docs import PAGES
from tests.repo.pages import cli, policy, policy_facts, telemetry
from tests.repo.pages.errors import meanings

ROOT = Path(__file__).resolve().parents[2]
ALL_PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
"""Every page that people read; k8s/ and bench/ have theirs where they are."""

LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
NOT_OURS = re.compile(
    r"(?<![\w.~])/(?:work|home|root|tmp|usr|Users|mnt|opt)/|/work\b|\.library\b|\bDESIGN\.md\b", re.ASCII
)


def read(page: Path | str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: Path, *languages: str) -> Iterator[str]:
    for language, text in BLOCK.findall(read(page)):
        if language in languages:
            yield text


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


# current ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(PAGES))
def test_the_generated_pages_are_current(path: str) -> None:
    assert read(path) == PAGES[path](), "run `make docs` and commit the result"


# complete -----------------------------------------------------------------------------------------------------------


def test_every_failure_kind_has_a_row_and_a_meaning() -> None:
    assert set(TABLE) == set(FailureKind)
    page = read("docs/errors.md")
    for kind, row in TABLE.items():
        assert f"| `{kind.value}` | {row.meaning} |" in page


def leaves(kind: type[RouterError]) -> Iterator[type[RouterError]]:
    for child in kind.__subclasses__():
        yield child
        yield from leaves(child)


def test_every_error_of_ours_is_in_the_tree_and_on_the_page() -> None:
    ours = {leaf for leaf in leaves(RouterError) if leaf.__module__ == errors.__name__}
    assert {leaf.__name__ for leaf in ours} == set(meanings())
    assert ours == {*CODES, errors.ChainFailed}
    page = read("docs/errors.md")
    for leaf in ours:
        assert f"| `{leaf.reason}` | {meanings()[leaf.__name__]} |" in page


def test_the_tree_of_errors_tells_the_statuses_that_they_have() -> None:
    untold = set()
    for leaf in leaves(RouterError):
        line = next((at for at in (errors.__doc__ or "").splitlines() if f" {leaf.__name__} " in at), "")
        told = re.search(r"\((\d{3})\b", line)
        if told is None:
            untold.add(leaf.__name__)
        else:
            assert int(told[1]) == leaf.http_status, leaf.__name__
    assert untold == {"ChainFailed"}, "its status is that of the failure"


def test_every_attribute_has_a_meaning_and_is_on_some_span() -> None:
    assert set(ATTRIBUTE_MEANINGS) == set(ATTRIBUTES)
    on = telemetry.spans_by_attribute()
    assert set(on) == set(ATTRIBUTES)
    page = read("docs/telemetry.md")
    for name, meaning in ATTRIBUTE_MEANINGS.items():
        assert f"| `{name}` | {', '.join(on[name])} | {meaning} |" in page


def test_every_metric_has_a_meaning_and_is_registered() -> None:
    assert set(METRIC_MEANINGS) == set(METRICS) == set(telemetry.collectors())
    page = read("docs/telemetry.md")
    for name, meaning in METRIC_MEANINGS.items():
        assert re.search(rf"^\| `{name}` \|.*\| {re.escape(meaning)} \|$", page, re.MULTILINE), name


def test_every_command_and_flag_has_a_meaning() -> None:
    silent = [name for name, (meaning, _) in cli.commands().items() if not meaning]
    silent += [
        f"{name} {flags}"
        for name, (_, rows) in cli.commands().items()
        for flags, meaning, _ in rows
        if name not in cli.SERVICES and not meaning.replace("Required.", "").strip()
    ]
    silent += [f"{name} --{flag.name}" for name, flags in cli.SERVICES.items() for flag in flags if not flag.meaning]
    assert not silent


def test_every_field_of_policy_has_a_meaning() -> None:
    silent = [f"{m.name}.{f.name}" for m in policy.described().values() for f in m.fields if not f.comment]
    assert not silent


def test_the_defaults_that_comments_tell_are_those_of_the_code() -> None:
    told = [(m.name, f) for m in policy.described().values() for f in m.fields if f.told_default]
    assert len(told) > 20
    assert {f"{name}.{f.name}": f.told_default for name, f in told} == {
        f"{name}.{f.name}": policy_facts.default_of(name, f.name, f.kind) for name, f in told
    }


def test_every_kind_of_document_is_in_the_example() -> None:
    assert {form["kind"] for form in yaml.safe_load_all(policy.EXAMPLE)} == set(KINDS)


# true ---------------------------------------------------------------------------------------------------------------


def test_the_example_policy_is_a_good_one() -> None:
    resources, problems = read_yaml(policy.EXAMPLE)
    assert not problems
    assert not check_offline(resources)


def problems_of(forms: list[dict[str, Any]]) -> list[str]:
    """Everything that is wrong with documents in their YAML form."""
    resources, found = [], []
    for form in forms:
        resource, wrong = read_form(form)
        found += [str(p) for p in wrong if not p.warning]
        if resource is not None:
            resources.append(resource)
    return found or [f"{p.resource.kind} {p.field}: {p.message}" for p in check_offline(resources) if not p.warning]


def base() -> dict[str, dict[str, Any]]:
    """One document of each kind, with every part that a bound or a required field is tried on."""
    settings: dict[str, Any] = {part: {} for part in ("breaker", "hedge", "commit_after", "on_exhausted")}
    settings |= {"clocks": {"ttft": {}}, "retry": {"budget": {}}}
    tier = {"above_tokens": 1}
    endpoint, fault = {"name": "eu", "base_url": "https://eu.example.com"}, {"kind": "status"}
    template = {"role": "system", "content": "x"}
    config: dict[str, Any] = {"max_tokens": 1, "reasoning": {"effort": "low"}}
    variant = {"model_id": "p/m", "text_generation_config": config, "message_templates": [template]}
    variant["model_selection"] = {"quality_floor": {"metric": "math"}}
    learning = {"model_id": "p/m", "model_selection": {"models": ["p/n"], "learned": {}}}
    variants = [{"weight": 100, "variant": variant}, {"weight": 0, "variant": learning}]
    rule = {"condition": {"cel_expression": "x"}, "route": {"variants": variants}}
    return {
        "Settings": {"kind": "Settings", "name": "default", **settings},
        "Provider": {"kind": "Provider", "name": "p", "type": "openai", "endpoints": [endpoint], "fault": fault},
        "Model": {"kind": "Model", "name": "p/m", "prices": {"tiers": [tier]}, "price_periods": [{"prices": {}}]}
        | {"scores": {}},
        "Catalogue": {"kind": "Catalogue", "name": "openai"},
        "Router": {"kind": "Router", "name": "r", "routes": [rule]},
        "Alias": {"kind": "Alias", "name": "a", "model": "p/m"},
        "ApiKey": {"kind": "ApiKey", "name": "k", "hash": f"blake2b:{'0' * 64}", "scopes": ["read"]},
    }


def place(forms: dict[str, dict[str, Any]], message: str) -> dict[str, Any]:
    """The part of `forms` that holds the fields of `message`."""
    rule = forms["Router"]["routes"][0]
    weighted = rule["route"]["variants"][0]
    settings, provider = forms["Settings"], forms["Provider"]
    places = {
        **forms,
        "Clocks": settings["clocks"],
        "AdaptiveTtft": settings["clocks"]["ttft"],
        "Retry": settings["retry"],
        "RetryBudget": settings["retry"]["budget"],
        "Breaker": settings["breaker"],
        "Hedge": settings["hedge"],
        "CommitAfter": settings["commit_after"],
        "OnExhausted": settings["on_exhausted"],
        "Endpoint": provider["endpoints"][0],
        "Fault": provider["fault"],
        "Prices": forms["Model"]["prices"],
        "PriceTier": forms["Model"]["prices"]["tiers"][0],
        "PricePeriod": forms["Model"]["price_periods"][0],
        "Scores": forms["Model"]["scores"],
        "QualityFloor": weighted["variant"]["model_selection"]["quality_floor"],
        "Learned": rule["route"]["variants"][1]["variant"]["model_selection"]["learned"],
        "ConditionalRoute": rule,
        "Condition": rule["condition"],
        "Route": rule["route"],
        "WeightedVariant": weighted,
        "Variant": weighted["variant"],
        "TextGenerationConfig": weighted["variant"]["text_generation_config"],
        "Reasoning": weighted["variant"]["text_generation_config"]["reasoning"],
        "MessageTemplate": weighted["variant"]["message_templates"][0],
    }
    found: dict[str, Any] = places[message]
    return found


def complaints(message: str, field: str, value: Any) -> list[str]:
    """What is said about `value` in this field, and not about anything else."""
    forms = base()
    place(forms, message)[field] = value
    about = re.compile(rf"[\w/]+ (?:\S+\.)?{field}(?:\[\d+\])?:")
    return [p for p in problems_of(list(forms.values())) if about.match(p)]


def bounds(limit: str) -> tuple[list[Any], list[Any]]:
    """Values that a limit such as "0 to 2" or "1ms to 24h" allows, and values just outside it."""
    words = limit.split(" to ") if " to " in limit else [limit.removeprefix("at least ")]
    allowed: list[Any] = []
    refused: list[Any] = []
    for number, (word, step) in enumerate(zip(words, (-1, 1), strict=False)):
        match = re.fullmatch(r"(-?\d+)(\.\d+)?(ms|s|m|h)?", word)
        assert match is not None, limit
        size, unit = float(match[1] + match[2]) if match[2] else int(match[1]), match[3]
        allowed.append(word if unit else size)
        if unit is None:
            refused.append(size + step * (0.001 if match[2] else 1))
        elif number or size:
            refused.append(f"{size * (1.001 if number else 0.999):g}{unit}")
    return allowed, refused


RANGES = {key: limit for key, limit in policy_facts.LIMITS.items() if re.match(r"-?\d|at least", limit)}


@pytest.mark.parametrize(("message", "field"), sorted(RANGES))
def test_what_the_page_calls_allowed_is_accepted_and_what_is_beyond_is_not(message: str, field: str) -> None:
    allowed, refused = bounds(RANGES[message, field])
    assert refused
    for value in allowed:
        assert not complaints(message, field, value), value
    for value in refused:
        assert complaints(message, field, value), value


@pytest.mark.parametrize(("message", "field"), sorted(set(policy_facts.LIMITS) - set(RANGES)))
def test_what_the_page_lists_is_accepted_and_nothing_else(message: str, field: str) -> None:
    for word in policy_facts.LIMITS[message, field].split(", "):
        assert not complaints(message, field, [word] if field == "scopes" else word), word
    assert complaints(message, field, ["nonsense"] if field == "scopes" else "nonsense")


@pytest.mark.parametrize(("message", "field"), sorted(policy_facts.REQUIRED))
def test_what_the_page_calls_required_cannot_be_left_out(message: str, field: str) -> None:
    assert not problems_of(list(base().values()))
    forms = base()
    del place(forms, message)[field]
    assert problems_of(list(forms.values()))


# links, paths and commands --------------------------------------------------------------------------------------------


@cache
def anchors(page: Path) -> frozenset[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return frozenset(re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings)


@pytest.mark.parametrize("page", ALL_PAGES, ids=name_of)
def test_relative_links_lead_somewhere(page: Path) -> None:
    broken = []
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert not broken


@pytest.mark.parametrize("page", ALL_PAGES, ids=name_of)
def test_no_page_names_a_place_on_somebodys_machine(page: Path) -> None:
    assert not NOT_OURS.findall(page.read_text(encoding="utf-8"))


def test_decisions_have_numbers_of_their_own_and_keep_the_form() -> None:
    pages = sorted((ROOT / "docs" / "adr").glob("*.md"))
    numbers = [page.name[:4] for page in pages]
    assert numbers == [f"{n:04}" for n in range(1, len(pages) + 1)]
    for page in pages:
        text = read(page)
        assert text.startswith(f"# {page.name[:4]}: "), page.name
        assert re.findall(r"^\*\*(\w+)\.\*\*", text, re.MULTILINE) == ["Context", "Decision", "Consequences"], page.name
        assert len(text.splitlines()) <= 40, page.name


@cache
def known_flags() -> dict[str, set[str]]:
    """The flags of each command."""
    found = {}
    for name, (_, rows) in cli.commands().items():
        flags = {word for shown, _, _ in rows for word in re.findall(r"--?[a-z][\w-]*", shown)}
        found[name] = flags | {"--no-follow", "--help"}
    for name, service in cli.SERVICES.items():
        found[name] = {f"--{flag.name}" for flag in service} | {"--help"}
    return found


def commands_in(page: Path) -> Iterator[list[str]]:
    """The `turnout` commands of a page's shell blocks and inline code."""
    text = read(page)
    lines = [line for block in blocks(page, "sh", "console") for line in block.replace("\\\n", " ").splitlines()]
    lines += re.findall(r"`(turnout [^`]+)`", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))
    for line in lines:
        match = re.match(r"^(?:\$ )?(turnout [^|>&;#]+)", line)
        if match is not None:
            yield shlex.split(match[1])[1:]


@pytest.mark.parametrize("page", ALL_PAGES, ids=name_of)
def test_commands_on_pages_exist_with_their_flags(page: Path) -> None:
    wrong = []
    for words in commands_in(page):
        if not words or words[0] in {"COMMAND", "--help", "--version"}:
            continue
        group = any(known.startswith(f"{words[0]} ") for known in known_flags())
        name = " ".join(words[:2]) if group and len(words) > 1 else words[0]
        flags = known_flags().get(name, {""} if group and len(words) == 1 else set())
        unknown = [w for w in words[1:] if w.startswith("-") and w != "-" and w.partition("=")[0] not in flags]
        if (not flags) or unknown:
            wrong.append(" ".join(words))
    assert not wrong


def test_make_targets_on_pages_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", read("Makefile"), re.MULTILINE))
    for page in ALL_PAGES:
        named = set(re.findall(r"(?:`|^)make ([a-z-]+)", read(page), re.MULTILINE))
        assert named <= targets, (name_of(page), named - targets)
