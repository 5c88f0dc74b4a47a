"""The quarantine: a file of records that a backend refuses for good."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Collection
from pathlib import Path

from accel_track.files import make_private, replace_file
from accel_track.records import AnyRecord, Metrics
from accel_track.texts import clean, storable_texts
from accel_track.values import storable

_LONGEST = 160
"""Characters of an error that are shown."""


def shown(error: BaseException | None) -> str:
    """Return an error as one line, without credentials; of a long one its beginning, and the error it came from."""
    text = _line(error)
    if len(text) > _LONGEST:
        root = _root(error)
        text = f"{text[:_LONGEST]}…" + (
            f" ({type(root).__name__}: {_line(root)[:_LONGEST]})" if root is not error else ""
        )
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _line(error: BaseException | None) -> str:
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - an exception's own error
        text = ""
    return " ".join(clean(text).split())


def _root(error: BaseException | None) -> BaseException | None:
    """Return the error that an error came from in the end."""
    seen = [error]
    while seen[-1] is not None and (deeper := seen[-1].__cause__ or seen[-1].__context__) not in (None, *seen):
        seen.append(deeper)
    return seen[-1]


def set_aside(path: Path, record: AnyRecord, error: Exception) -> None:
    """Append a record and why it was refused to a file, one JSON object a line.

    Never raises: the worker counts the record all the same, and the record itself is in the journal.
    """
    with contextlib.suppress(Exception):
        form = {
            "seq": record.seq,
            "time": record.time,
            "step": record.step if isinstance(record, Metrics) else None,
            "values": storable(record.values),
            "error": shown(error),
        }
        make_private(path.parent)
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with open(file, "ab") as stream:
            stream.write(json.dumps(storable_texts(form)).encode() + b"\n")


def refused(path: Path) -> set[int]:
    """Return the numbers of the records in a quarantine's file; lines that are none are left out."""
    return {seq for line in _lines(path) if (seq := _seq(line)) is not None}


def keep_aside(path: Path, seqs: Collection[int]) -> None:
    """Leave these records only in a quarantine's file; without any, there is no file.

    Raises:
        OSError: It cannot be written.
    """
    if kept := [line for line in _lines(path) if _seq(line) in seqs]:
        replace_file(path, b"\n".join([*kept, b""]))
    else:
        path.unlink(missing_ok=True)


def _lines(path: Path) -> list[bytes]:
    try:
        return path.read_bytes().splitlines()
    except FileNotFoundError:
        return []


def _seq(line: bytes) -> int | None:
    try:
        seq = json.loads(line)["seq"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return seq if type(seq) is int else None
