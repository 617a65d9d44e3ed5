"""Any text in a battle log can be printed."""

from __future__ import annotations

import json

import pytest

from lostark_platform import terminal

INVALID_NAME = "가나\ud800\x1b[31m"


@pytest.mark.parametrize(
    "value", [INVALID_NAME, "[bold]", "a\nb", float("nan"), None, b"\xff", 10**30, [INVALID_NAME]]
)
def test_every_value_prints_as_json_table_and_message(value, capsys):
    terminal.print_json({"value": value, str(value): 1})
    json.loads(capsys.readouterr().out)
    terminal.print_table(("name", "[x]"), [(value, 1)])
    terminal.print_rows(["a" * 500, "b"], [(value, 1)])
    terminal.say(terminal.shown_path(str(value)))
    assert capsys.readouterr().out


def test_markup_in_a_name_is_printed_literally(capsys):
    terminal.print_table(("name",), [("[red]Danbelel[/red]",)])

    assert "[red]Danbelel[/red]" in capsys.readouterr().out


def test_terminal_control_characters_in_a_name_are_escaped(capsys):
    terminal.print_table(("name",), [(INVALID_NAME,)])
    terminal.say(INVALID_NAME)

    printed = capsys.readouterr()
    assert "\x1b" not in printed.out + printed.err
