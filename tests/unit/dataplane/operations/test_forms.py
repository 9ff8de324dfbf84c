"""Forms: found, read, rewritten; broken ones are refused with a sentence, never a crash."""

from __future__ import annotations

import contextlib
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from python_multipart.multipart import MultipartParser

from services.core.errors import InvalidRequest
from services.dataplane.operations import forms
from services.dataplane.operations.forms import read_form
from tests.unit.dataplane.operations.build import BOUNDARY, FORM_TYPE, form

TYPE = FORM_TYPE["content-type"]
WAV = b"RIFF\x00\r\n--\xff" + bytes(range(256)) * 20


def kept(name: str) -> bool:
    del name
    return False


def parts_by_library(body: bytes) -> list[bytes]:
    """The data of each part, as an independent parser sees it."""
    found: list[bytes] = []
    parser = MultipartParser(
        BOUNDARY.encode(),
        {
            "on_part_begin": lambda: found.append(b""),
            "on_part_data": lambda data, start, end: found.append(found.pop() + data[start:end]),
        },
    )
    parser.write(body)
    parser.finalize()
    return found


def test_fields_and_files_are_told_apart() -> None:
    body = form(("model", "whisper-1"), ("file", WAV, "a.wav"), ("prompt", "Größe 🙂"))
    found = read_form(body, TYPE)
    assert found.fields() == {"model": "whisper-1", "prompt": "Größe 🙂"}
    assert found.has("file")
    assert not found.has("language")


def test_brackets_spell_lists_and_objects_and_names_may_come_twice() -> None:
    body = form(
        ("models[]", "a/b"),
        ("models[]", "c/d"),
        ("metadata[tier]", "gold"),
        ("metadata[region][name]", "eu"),
        ("ignore", "x"),
        ("ignore", "y"),
        ("provider", '{"order": ["openai"]}'),
    )
    assert read_form(body, TYPE).fields() == {
        "models": ["a/b", "c/d"],
        "metadata": {"tier": "gold", "region": {"name": "eu"}},
        "ignore": ["x", "y"],
        "provider": {"order": ["openai"]},
    }


def test_another_model_leaves_every_other_byte() -> None:
    body = form(("file", WAV, "a.wav"), ("model", "p/m"), ("user", "me"), ("models[]", "x"), ("language", "en"))
    made = read_form(body, TYPE).rewritten("whisper-1", lambda name: name == "models", {"language": "lang"})
    again = read_form(made, TYPE)
    assert again.fields() == {"model": "whisper-1", "user": "me", "lang": "en"}
    assert parts_by_library(made) == [b"whisper-1", WAV, b"me", b"en"]
    file = re.search(rb'Content-Disposition: form-data; name="file".*?\r\n\r\n', body, re.DOTALL)
    assert file is not None
    assert file[0] + WAV in made


def test_a_form_without_a_model_gets_one() -> None:
    made = read_form(form(("file", b"x", "a.wav")), TYPE).rewritten("m", kept, {})
    assert read_form(made, TYPE).fields() == {"model": "m"}


@given(st.lists(st.binary(max_size=60), min_size=1, max_size=5))
def test_parts_are_where_an_independent_parser_finds_them(values: list[bytes]) -> None:
    marked = [v.replace(b"\r\n--" + BOUNDARY.encode(), b"") for v in values]
    body = form(*((f"f{i}", v, "x") for i, v in enumerate(marked)))
    found = read_form(body, TYPE)
    assert [body[p.start : p.end] for p in found.parts] == marked == parts_by_library(body)


def test_data_that_looks_like_the_boundary_is_data() -> None:
    tricky = f"\r\n--{BOUNDARY}x\r\n-- {BOUNDARY}\r\n--{BOUNDARY[:-1]}".encode()
    body = form(("file", tricky, "a"), ("model", "m"))
    found = read_form(body, TYPE)
    assert found.fields() == {"model": "m"}
    assert body[found.parts[0].start : found.parts[0].end] == tricky


@pytest.mark.parametrize(
    ("body", "kind", "told"),
    [
        (b"", TYPE, "is empty"),
        (b"{}", "application/json", "must be multipart/form-data"),
        (b"{}", "", "no content type"),
        (form(("a", "b")), "multipart/form-data", "no proper boundary"),
        (form(("a", "b")), 'multipart/form-data; boundary="other"', "does not hold the boundary"),
        (form(("a", "b"))[:-8], TYPE, "breaks off"),
        (f"--{BOUNDARY}\r\nContent-Dis".encode(), TYPE, "no end of its headers"),
        (f"--{BOUNDARY}\r\n\r\nx\r\n--{BOUNDARY}--\r\n".encode(), TYPE, "no name"),
        (f"--{BOUNDARY}\r\nContent-Disposition: form-data\r\n\r\nx\r\n--{BOUNDARY}--".encode(), TYPE, "no name"),
        (form(*((f"a{i}", "b") for i in range(forms.MAX_PARTS + 1))), TYPE, "more than 200 parts"),
        (form(("a", f"\r\n--{BOUNDARY}x" * 2_000)), TYPE, "boundary occurs in its data"),
    ],
)
def test_a_broken_form_is_refused_with_a_sentence(body: bytes, kind: str, told: str) -> None:
    with pytest.raises(InvalidRequest, match=told):
        read_form(body, kind)


@pytest.mark.parametrize(
    ("part", "told"),
    [
        (("prompt", b"\xff\xfe"), "not UTF-8"),
        (("prompt", "x" * (1024 * 1024 + 1)), "longer than"),
        (("provider", "{"), "must be a JSON object"),
    ],
)
def test_a_field_that_cannot_be_read_is_named(part: tuple[str, bytes | str], told: str) -> None:
    with pytest.raises(InvalidRequest, match=told) as caught:
        read_form(form(part), TYPE).fields()
    assert caught.value.param == part[0]


@given(st.binary(max_size=300))
def test_anything_is_a_form_or_refused(noise: bytes) -> None:
    for body in (noise, f"--{BOUNDARY}\r\n".encode() + noise, form(("a", "b")) + noise):
        with contextlib.suppress(InvalidRequest):
            assert isinstance(read_form(body, TYPE).fields(), dict)


@pytest.mark.parametrize("filler", [b"\r\n--" + BOUNDARY.encode()[:-1], b"\r\n", b"\0", b"-"])
def test_a_file_of_25_mb_takes_no_longer_than_its_copy(filler: bytes) -> None:
    data = filler * (25 * 1024 * 1024 // len(filler))
    body = form(("model", "m"), ("file", data, "a.wav"))
    began = time.perf_counter()
    made = read_form(body, TYPE).rewritten("n", kept, {})
    assert len(made) == len(body) + len("content-disposition: form-data") - len("Content-Disposition: form-data")
    # A tenth of a second on this machine when nobody else is on it; a search byte by byte would take many.
    assert time.perf_counter() - began < 3.0
