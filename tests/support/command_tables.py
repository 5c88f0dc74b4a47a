"""The tables of options in the pages on the command line: `python -m` this module writes them from the commands."""

from collections.abc import Iterator
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


def commands() -> dict[str, Any]:
    """Return the commands by their names."""
    group: Any = typer.main.get_command(app)
    return {"accel-track": group, **{name: one for name, one in group.commands.items() if not one.hidden}}


def _text(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


def _word(one: Any) -> str:
    return "" if getattr(one, "is_flag", False) else one.metavar or one.name.strip("_").upper()


def _names(one: Any) -> str:
    """Return an option as it is written, the short form first, the value behind the long one."""
    *others, last = sorted((*one.opts, *one.secondary_opts), key=len)
    return ", ".join(f"`{name}`" for name in (*others, f"{last} {_word(one)}".strip())).replace("|", "\\|")


def _about(one: Any) -> str:
    if one.default in (None, False) or "default" in one.help or not getattr(one, "show_default", True):
        return _text(one.help)
    return _text(f"{one.help} By default {f'{one.default:g}' if isinstance(one.default, float) else one.default}.")


def _rows(command: Any) -> Iterator[str]:
    for one in command.params:
        is_run = one.param_type_name == "argument" and one.metavar == "RUN"  # the text tells once what that is
        if not one.hidden and not is_run and one.opts[-1] not in _EVERYWHERE:
            names = _names(one) if one.param_type_name == "option" else f"`{_word(one)}`"
            yield f"| {names} | {_about(one)} |"


def _argument(one: Any) -> str:
    word = _word(one) if one.required else f"[{_word(one)}]"
    return f"{word}..." if one.nargs == -1 else word


def block(name: str, command: Any) -> str:
    """Return how a command is called, and the table of its options."""
    arguments = [_argument(one) for one in command.params if one.param_type_name == "argument"]
    rows = list(_rows(command))
    words = ["accel-track", name, *arguments] if name != "accel-track" else ["accel-track"]
    call = " ".join([*words[: 2 if arguments else None], *["[OPTIONS]"] * bool(rows), *words[2:]])
    table = "\n".join(('<div class="options" markdown>\n', "| Option | Meaning |", "|---|---|", *rows, "\n</div>"))
    return f"```text\n{call}\n```\n" + (f"\n{table}\n" if rows else "")


def page(text: str) -> str:
    """Return a page with the tables in their places."""
    for name, command in commands().items():
        begin, end = _BEGIN.format(name), _END.format(name)
        if begin in text:
            before, rest = text.split(begin)
            text = f"{before}{begin}\n{block(name, command)}\n{end}{rest.split(end)[1]}"
    return text


if __name__ == "__main__":
    for place in PAGES:
        place.write_text(page(place.read_text(encoding="utf-8")), encoding="utf-8")
