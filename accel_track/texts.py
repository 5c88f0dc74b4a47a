"""Texts on their way to a file or a terminal: no half characters, nothing that a terminal obeys, no credentials."""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from typing import Any

import msgspec

from accel_track.credentials.recognition import scrubbed

# What terminals obey: CSI ("colour"), OSC and the like ("title"), and two-character sequences; each is bounded, so that
# an unfinished one costs no more than its beginning.
_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]{0,64}[ -/]{0,8}[@-~]|(?:\x1b[\]PX^_]|[\x9d\x90])[^\x07\x1b\x9c]{0,256}"
    r"(?:\x07|\x1b\\|\x9c)|\x1b[ -/]{0,8}[0-~]"
)
_SPACES = str.maketrans("\t\n\v\f\r\u2028\u2029\x85", " " * 8)


def storable_text(text: str) -> str:
    r"""Return a text that UTF-8 and JSON can hold: half a surrogate pair, as a file's name has it, becomes `\udce9`."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def printable(text: object) -> str:
    """Return a text as a terminal may get it: one line, without escape sequences and control characters."""
    line = str(text)
    if line.isprintable():
        return line
    line = _ESCAPES.sub("", line.translate(_SPACES))
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in line)


def clean(text: object) -> str:
    """Return a text from anywhere, an error's for example, as one line for files and people, without credentials."""
    return printable(scrubbed(storable_text(str(text))))


def tell(text: str) -> None:
    """Print lines for people to the standard error output, each cleaned; nothing where nobody can read them any more.

    Args:
        text: The lines.
    """
    if sys.stderr is not None:
        with suppress(OSError, ValueError):  # the terminal or the pipe is gone, or the program has closed the stream
            print("\n".join(map(clean, text.split("\n"))), file=sys.stderr, flush=True)  # noqa: T201 - its job


def counted(count: int, noun: str) -> str:
    """Return a number of things in words: "1 record", "1,200 records".

    Args:
        count: How many.
        noun: Their name in the singular, whose plural ends in "s".
    """
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def storable_texts(document: Any) -> Any:
    """Return JSON-like data with `storable_text` in place of each of its texts, names too."""
    if isinstance(document, str):
        return storable_text(document)
    if isinstance(document, dict):
        return {storable_texts(key): storable_texts(value) for key, value in document.items()}
    if isinstance(document, (list, tuple)):
        return (list if isinstance(document, list) else tuple)(map(storable_texts, document))
    return document


def json_bytes(document: Any) -> bytes:
    """Return a struct, or JSON-like data, as JSON in UTF-8, whatever its texts hold."""
    try:
        return msgspec.json.encode(document)
    except UnicodeEncodeError:
        return msgspec.json.encode(storable_texts(msgspec.to_builtins(document)))
