"""The program `accel-track` around its commands: what holds for all of them, and one line for each wrong call."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from accel_track import __version__
from accel_track.cli._common import UNUSABLE, existing, lacks_letters, say
from accel_track.cli._place import VARIABLE, set_place

_WORDS = {
    "int_parsing": "{0} is no whole number",
    "int_from_float": "{0} is no whole number",
    "float_parsing": "{0} is no number",
    "greater_than": "{0} is not more than {gt}",
    "greater_than_equal": "{0} is less than {ge}",
    "less_than": "{0} is not less than {lt}",
    "less_than_equal": "{0} is more than {le}",
    "enum": "{0} is none of {expected}",
}
"""The problem of a value, by pydantic's name of the error, with which typer checks values since 0.2x."""


def help_of(command: Callable[..., None]) -> str:
    """Return a command's docstring, each paragraph of which is one line: the terminal breaks it."""
    return "\n\n".join(" ".join(part.split()) for part in (inspect.getdoc(command) or "").split("\n\n"))


class _PlainFlags:
    """What has flags that take no value, and whose help names no type of one, which is typer's habit since 0.2x."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters."""
        found: list[Any] = super().get_params(ctx)  # type: ignore[misc]
        for one in found:
            if getattr(one, "is_flag", False) and one.metavar is None:
                one.metavar = ""
        return found


class Command(_PlainFlags, TyperCommand):
    """A command."""


class Commands(_PlainFlags, TyperGroup):
    """The commands; a wrong call of one is told in one line, with exit code 2."""

    def main(self, *args: Any, **options: Any) -> Any:
        """Run a command as typer does, and exit.

        Raises:
            SystemExit: Always, unless `standalone_mode` is False.
        """
        _take_any_text()
        exits, options["standalone_mode"] = options.get("standalone_mode", True), False
        if not exits:
            return super().main(*args, **options)
        try:
            code = super().main(*args, **options)
        except typer.Abort:
            say("accel-track: stopped; nothing more is done.", err=True)
            sys.exit(1)
        except Exception as error:
            # Typer has its own copies of click's classes since 0.2x, and click's before: these methods are in both.
            tell = getattr(error, "format_message", None)
            if tell is None:
                raise
            if message := tell():  # there is none where the help is shown, since there are no arguments
                say(_sentence(error, message), err=True)
            sys.exit(UNUSABLE)
        sys.exit(code if isinstance(code, int) else 0)


def _take_any_text() -> None:
    """Make the outputs take what commands print, also in an encoding that lacks letters of it, or closed."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - until the program ends
        elif lacks_letters(stream) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")


def _sentence(error: Exception, message: str) -> str:
    """Return one line about a wrong call: the command, its mistake, and the place to read on."""
    context = getattr(error, "ctx", None)
    command = "accel-track" if context is None else context.command_path
    if (why := _in_our_words(error.__cause__)) and message.endswith(str(getattr(error, "message", None))):
        message = message.removesuffix(error.message) + why  # type: ignore[attr-defined]
    message = " ".join(message.split())
    return f"{command}: {message[:1].lower()}{message[1:].rstrip('.')}; see `{command} --help`."


def _in_our_words(cause: object) -> str | None:
    """Return the problem of a value that pydantic did not take; None for other errors."""
    errors = getattr(cause, "errors", None)
    if errors is None:
        return None
    (first, *_) = errors()
    value, limits = repr(str(first["input"])), {name: str(limit) for name, limit in first.get("ctx", {}).items()}
    if first["type"] in _WORDS:
        return _WORDS[first["type"]].format(value, **limits)
    return str(first["msg"]).removeprefix("Value error, ")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"accel-track {__version__}")
        raise typer.Exit


def root(
    directory: Annotated[
        Path | None,
        typer.Option(
            "-C",
            metavar="DIR",
            parser=existing,
            envvar=VARIABLE,
            help="Find runs below this directory instead of the working directory.",
        ),
    ] = None,
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Look at the runs that accel_track has logged, deliver them to backends, import other runs, and tidy up."""
    set_place(directory)
