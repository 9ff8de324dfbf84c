"""What people and machines see."""

from __future__ import annotations

import json

import pytest
from turnout.policy.v1.policy_pb2 import Alias, Resource

from services.cli.output import Fail, escape, out, plain, show_failure, show_json, show_table


def test_a_table_shows_its_rows_or_what_it_means_that_there_are_none(capsys: pytest.CaptureFixture[str]) -> None:
    show_table(("NAME", "N"), [("a[0]", 1), ("b", 22)], empty="nothing")
    told = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert told == [["NAME", "N"], ["a[0]", "1"], ["b", "22"]]
    show_table(("NAME",), [], empty="nothing here")
    assert capsys.readouterr().out == "nothing here\n"


def test_json_is_one_line_with_messages_as_plain_values(capsys: pytest.CaptureFixture[str]) -> None:
    message = Resource(alias=Alias(name="é", model="p/m"), etag="7")
    show_json({"resources": [message], "n": (1, None)})
    told = capsys.readouterr().out
    assert told.count("\n") == 1
    assert json.loads(told) == {"resources": [{"alias": {"name": "é", "model": "p/m"}, "etag": "7"}], "n": [1, None]}
    assert "é" in told
    assert plain("x") == "x"


@pytest.mark.parametrize("text", ["[red]x[/]", "a[0]", "[", "[/]", "\\[x]", ":smile:", "no markup"])
def test_text_of_others_is_never_markup(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    out.print(escape(text))
    assert capsys.readouterr().out == text + "\n"


def test_a_failure_is_a_line_per_problem(capsys: pytest.CaptureFixture[str]) -> None:
    show_failure(Fail("routes[0]: bad\nother: worse", code=2))
    assert capsys.readouterr().err == "error: routes[0]: bad\nerror: other: worse\n"


def test_a_row_for_a_pipe_is_one_line_however_long_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    show_table(("NAME", "OTHER"), [("a" * 100, "b " * 60)], empty="nothing")
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["NAME", "OTHER"],
        ["a" * 100, *"b" * 60],
    ]
