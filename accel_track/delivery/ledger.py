"""The ledger of one tracker: the records it was given and has acknowledged, and the quarantine of the refused ones."""

from __future__ import annotations

import contextlib
import copy
import json
import os
import threading
import time
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

import msgspec

from accel_track.delivery.suspects import Part
from accel_track.errors import JournalError
from accel_track.files import make_private, replace_file
from accel_track.journal import cursor as cursors
from accel_track.journal.entries import Entry, ShortEntries, next_seq
from accel_track.records import AnyRecord, Metrics
from accel_track.rules import Rules
from accel_track.texts import clean, storable_texts
from accel_track.trackers.base import GeneralTracker
from accel_track.values.plain import storable


class Ledger:
    """A tracker's cursor, in memory and in its file.

    Where a tracker's flush makes nothing durable, the file's cursor stays where it was until the tracker is finished.

    Args:
        tracker: The tracker.
        path: The cursor's file.
        quarantine: Where to store what the backend refuses.
        rules: What of the run the tracker gets, unless its cursor has got on; None: what the cursor says.
    """

    def __init__(self, tracker: GeneralTracker, path: Path, quarantine: Path, rules: Rules | None = None) -> None:
        """Read the cursor."""
        self.cursor = cursors.begun(path, rules)
        """The cursor: the place up to which the tracker has acknowledged its records."""
        self.counts = copy.copy(self.cursor)
        """The counts of the records that the tracker was given, ahead of the acknowledged ones."""
        self.given = self.cursor.seq
        """Number of the next record that the tracker was not given."""
        self.position = self.cursor.position
        """The place where delivery goes on once all given records are acknowledged."""
        self.quarantine = quarantine
        self._tracker, self._path = tracker, path
        self._at_start = copy.copy(self.cursor)
        self._stored = copy.copy(self.cursor)
        self._concluded = False
        self._saving = threading.Lock()
        self._without_form: Counter[str] = Counter()

    def begin(self, *, anew: bool = False) -> None:
        """Note that the backend knows that its run goes on.

        Args:
            anew: After a rest, in which `accel-track sync` may have told it that the run has ended.
        """
        if anew:
            with contextlib.suppress(JournalError):
                self.cursor.status = cursors.load(self._path).status
        if self.cursor.status:
            self.cursor.status = self._at_start.status = self.counts.status = ""
            self._save(self.cursor)

    def give(self, parts: Sequence[Part]) -> None:
        """Note the parts that the tracker was given, and the values without a portable form that they lack."""
        self._advance([part.entry for part in parts])
        for part in parts:
            if part.whole is None:
                self.counts.not_replayable += not part.foreign
                continue
            self.counts.delivered += 1
            self._without_form.update(part.lacking)

    def give_all(self, entries: Sequence[Entry]) -> None:
        """Note that the tracker was given whole records."""
        self._advance(entries)
        self.counts.delivered += len(entries)

    def refuse(self, entry: Entry, error: Exception) -> None:
        """Set a record aside that the backend refused for good."""
        self._advance([entry])
        self.counts.quarantined += 1
        set_aside(self.quarantine, entry.record, error)

    def _advance(self, entries: Sequence[Entry]) -> None:
        self.position = entries.end if isinstance(entries, ShortEntries) else entries[-1].end
        # A record made by a signal handler in the middle of another append comes before one with a lower number.
        self.given = max(self.given, next_seq(entries))

    def acknowledge(self, damaged: int) -> None:
        """Store that the tracker has flushed its records, of which so many bytes of the journal were skipped."""
        segment, offset = self.position
        dropped = self._tracker.dropped + Counter(self._at_start.dropped) + self._without_form
        cursor = msgspec.structs.replace(
            self.counts,
            segment=segment,
            offset=offset,
            seq=self.given,
            taken=self.given,
            dropped=dict(dropped),
            damaged=self._at_start.damaged + damaged,
            time=time.time(),
        )
        durable = self._tracker.durable_flush
        self._save(cursor if durable else msgspec.structs.replace(self._at_start, taken=self.given))
        self.cursor = cursor  # once it is stored: others wait for it

    @property
    def durable(self) -> cursors.Cursor:
        """The cursor of the acknowledged records that stay with the backend, whatever happens to the process now."""
        return self.cursor if self._concluded or self._tracker.durable_flush else self._at_start

    def conclude(self, status: str) -> None:
        """Store that the tracker is finished, and the status that its backend was told."""
        self._concluded, self.cursor.status = True, status
        self._save(self.cursor)

    def give_up(self) -> None:
        """Take back the acknowledgement of records that were only flushed, where a flush makes nothing durable."""
        self.cursor = self.durable

    def store_again(self) -> None:
        """Store the cursor once more: its file is gone."""
        with self._saving:
            self._write()

    def _save(self, cursor: cursors.Cursor) -> None:
        with self._saving:
            self._stored = copy.copy(cursor)
            self._write()

    def _write(self) -> None:
        with contextlib.suppress(OSError):  # a full disk: what is delivered may be delivered again after a restart
            make_private(self._path.parent)
            cursors.save(self._path, self._stored)


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
