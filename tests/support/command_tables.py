"""docs/all-commands.md: every command with its arguments and options; `python -m` this module writes it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

from accel_track.cli import app

PAGE = Path(__file__).parents[2] / "docs" / "all-commands.md"
_HEAD = """# All commands and options

<!-- Made by `python -m tests.support.command_tables` from the commands themselves; do not edit. -->

Every command of `accel-track`, as its `--help` has it. [Commands](command-line.md) has the same commands with samples, and what they do in full.
"""


def commands() -> dict[str, Any]:
    """Return the commands by their names, those of `accel-track` itself under an empty one."""
    group: Any = typer.main.get_command(app)
    return {"": group, **{name: one for name, one in group.commands.items() if not one.hidden}}


def _text(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


def _word(one: Any) -> str:
    return "" if getattr(one, "is_flag", False) else one.metavar or one.name.strip("_").upper()


def _rows(command: Any) -> Iterator[str]:
    for one in command.params:
        if not one.hidden:
            is_option = one.param_type_name == "option"
            names = ", ".join(f"`{name}`" for name in one.opts) if is_option else ""
            about = one.help or ""
            if is_option and one.default not in (None, False) and "default" not in about:
                about += (
                    f" By default {one.default:g}." if isinstance(one.default, float) else f" By default {one.default}."
                )
            word = _word(one).replace("|", "\\|")
            yield f"| {f'{names} `{word}`'.strip() if word else names} | {_text(about)} |"


def _section(name: str, command: Any) -> str:
    arguments = [_word(one) for one in command.params if one.param_type_name == "argument"]
    call = " ".join(["accel-track", *filter(None, [name]), *arguments, "[OPTIONS]"])
    about = "\n\n".join(" ".join(part.split()) for part in command.help.split("\n\n") if "Example:" not in part)
    table = "\n".join(("| | |", "|---|---|", *_rows(command)))
    return f"\n## {name or 'accel-track'}\n\n{_prose(about)}\n\n```text\n{call}\n```\n\n{table}\n"


def _prose(text: str) -> str:
    return text.replace("<", "&lt;").replace("*", "\\*")


def page() -> str:
    """Return the page."""
    return _HEAD + "".join(_section(name, one) for name, one in commands().items())


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
