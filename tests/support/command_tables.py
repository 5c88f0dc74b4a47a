"""The tables of options in the pages on the command line: `python -m` this module writes them from the commands."""

import re
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

import typer.main

from accel_track.cli import app

DOCS = Path(__file__).parents[2] / "docs"
PAGES = [DOCS / "command-line.md", *sorted((DOCS / "commands").glob("*.md")), DOCS / "report.md", DOCS / "autopsy.md"]
_BEGIN = "<!-- options of {}: made by `python -m tests.support.command_tables` -->\n"
_END = "<!-- end of options of {} -->\n"
_EVERYWHERE = ("--json",)
"""Options of all commands, of which the text tells."""
_CODE = re.compile(r"(?<!\S)(--?[a-zA-Z][\w-]*|'[^']*'|<[^ ]+>[^ ]*)(?![^\s.,;:])")


def commands() -> dict[str, Any]:
    """Return the commands by their names."""
    group: Any = typer.main.get_command(app)
    return {"accel-track": group, **{name: one for name, one in group.commands.items() if not one.hidden}}


def _text(text: str) -> str:
    """Return a text as Markdown, with options and what stands between quotes as code."""
    parts = _CODE.split(" ".join(text.split()))
    plain = (part.replace("<", "&lt;").replace("*", "\\*") for part in parts[::2])
    return "".join(map("".join, zip_longest(plain, (f"`{part}`" for part in parts[1::2]), fillvalue="")))


def _word(one: Any) -> str:
    return "" if getattr(one, "is_flag", False) else one.metavar or one.name.strip("_").upper()


def _names(one: Any) -> str:
    """Return an option as it is written, the short form first, the value behind the long one."""
    *others, last = sorted((*one.opts, *one.secondary_opts), key=lambda name: name.startswith("--"))
    return ", ".join(f"`{name}`" for name in (*others, f"{last} {_word(one)}".strip()))


def _about(one: Any) -> str:
    if one.default in (None, False) or "default" in one.help or not getattr(one, "show_default", True):
        return _text(one.help)
    return f"{_text(one.help)} By default `{f'{one.default:g}' if isinstance(one.default, float) else one.default}`."


def _rows(command: Any) -> Iterator[str]:
    for one in command.params:
        is_run = one.param_type_name == "argument" and one.metavar == "RUN"  # the text tells once what that is
        if not one.hidden and not is_run and one.opts[-1] not in _EVERYWHERE:
            names = _names(one) if one.param_type_name == "option" else f"`{_word(one)}`"
            yield f"| {names} | {_about(one)} |"


def block(command: Any) -> str:
    """Return the table of a command's options, and of its arguments but for the run."""
    rows = list(_rows(command))
    head = "Option" if any(row.startswith("| `-") for row in rows) else "Argument"
    return "\n".join(('<div class="options" markdown>\n', f"| {head} | Meaning |", "|---|---|", *rows, "\n</div>\n"))


def page(text: str) -> str:
    """Return a page with the tables in their places."""
    for name, command in commands().items():
        begin, end = _BEGIN.format(name), _END.format(name)
        if begin in text:
            before, rest = text.split(begin)
            text = f"{before}{begin}\n{block(command)}\n{end}{rest.split(end)[1]}"
    return text


if __name__ == "__main__":
    for place in PAGES:
        place.write_text(page(place.read_text(encoding="utf-8")), encoding="utf-8")
