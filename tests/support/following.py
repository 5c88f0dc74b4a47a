"""A page of the documentation, followed as a user does: its files are written and its commands run, in order, in one folder.

A block with a title is a file; of the language `diff`, a change of one. A block of `bash` is commands, a line each, and a
block of `text` behind it is what they print. Blocks of other languages (`python` without a title, `sh`, `yaml`) are for
reading here.
"""

import contextlib
import os
import pty
import re
import select
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

DOCS = Path(__file__).parents[2] / "docs"
_FENCE = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
_CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_VARYING = re.compile(r"\d{8}-\d{6}-[0-9a-f]{6}|\b[0-9a-f]{6}\b|\d{4}-\d\d-\d\d \d\d:\d\d|\b\d+s\b")
"""Ids of runs, times and ages, which are others each time."""

Shell = Callable[[str, Path], str]
"""Runs a command line in a folder and returns what it prints; raises AssertionError where it fails."""


class Block(NamedTuple):
    """A block of a page: its language, its title, and what is in it."""

    language: str
    title: str
    text: str


def blocks(page: Path) -> list[Block]:
    """Return the blocks of a page."""
    return [Block(*groups) for groups in _FENCE.findall(page.read_text(encoding="utf-8"))]


def follow(page: Path, folder: Path, shell: Shell) -> None:
    """Do what a page says.

    Args:
        page: The page.
        folder: Where to do it.
        shell: What runs its commands.

    Raises:
        AssertionError: A change fits no line of its file, a command failed, or did not print what the page shows.
    """
    printed = ""
    for block in blocks(page):
        if block.title and block.language == "diff":
            _change(folder / block.title, block.text)
        elif block.title:
            (folder / block.title).write_text(block.text, encoding="utf-8")
        elif block.language == "bash":
            printed = "\n".join(shell(line, folder) for line in block.text.splitlines())
        elif block.language == "text":
            _compare(block.text, printed)


def _change(file: Path, diff: str) -> None:
    old, new = ("".join(f"{line[1:]}\n" for line in diff.splitlines() if line[0] == sign) for sign in "-+")
    text = file.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"the change fits {text.count(old)} places of {file.name}: {old}"
    file.write_text(text.replace(old, new), encoding="utf-8")


def _compare(shown: str, printed: str) -> None:
    """Find each line that is shown, up to `…` if it has one; ids, times and the width of columns may be others."""
    found = [_same(line) for line in _CODES.sub("", printed).replace("\r", "\n").splitlines()]
    for line in shown.splitlines():
        wanted, more, _ = _same(line).partition("…")
        assert any(one.startswith(wanted.rstrip()) if more else one == wanted for one in found), (line, printed)


def _same(line: str) -> str:
    return re.sub(r"\s+", " ", _VARYING.sub("#", line)).strip()


def on_a_terminal(
    command: list[str],
    folder: Path,
    environment: Mapping[str, str],
    *,
    timeout: float = 120.0,
    start: type["subprocess.Popen[Any]"] = subprocess.Popen,
) -> str:
    """Run a program as on a terminal of 80 columns; return what it writes.

    Raises:
        AssertionError: It failed.
    """
    ours, its = pty.openpty()
    variables = {**environment, "TERM": "xterm", "NO_COLOR": "1", "COLUMNS": "80"}
    process = start(command, cwd=folder, env=variables, stdin=subprocess.DEVNULL, stdout=its, stderr=its)
    with contextlib.suppress(OSError):  # a warm start has closed it
        os.close(its)
    output, end = b"", time.monotonic() + timeout
    with contextlib.suppress(OSError):  # Linux says EIO once nobody has the other side
        while select.select([ours], [], [], max(0.0, end - time.monotonic()))[0]:
            output += os.read(ours, 65536)
    os.close(ours)
    if process.poll() is None and time.monotonic() >= end:
        process.kill()
    text = output.decode()
    assert process.wait() == 0, f"{command} failed: {text}"
    return text
