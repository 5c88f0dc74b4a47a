"""The cursor: one tracker's position in one rank's journal."""

from __future__ import annotations

from pathlib import Path

import msgspec

from accel_track.errors import JournalError
from accel_track.files import replace_file
from accel_track.journal.entries import Position
from accel_track.rules import Rules
from accel_track.texts import json_bytes

_LARGEST = 2**63


class Cursor(msgspec.Struct):
    """The place up to which a tracker has acknowledged its records.

    Attributes:
        segment: Number of the segment where delivery goes on.
        offset: Byte in it.
        seq: Number of the next record.
        delivered: Records that the tracker took.
        quarantined: Records that the backend refused for good.
        not_replayable: Records or values without a portable form that could not be delivered.
        dropped: Values that the backend cannot take, by name.
        retried: Calls that were repeated after an error.
        damaged: Bytes of the journal that were skipped.
        taken: Number of the next record that the tracker was not given; where its flush is not durable, beyond `seq`.
        time: Wall-clock time of the last change, in seconds since 1970-01-01 UTC.
        status: How the run ended, as far as the backend was told; empty while it is running there.
        rules: What of the run the tracker gets; None for all. They stay the same once something is delivered.
    """

    segment: int = 0
    offset: int = 0
    seq: int = 0
    delivered: int = 0
    quarantined: int = 0
    not_replayable: int = 0
    dropped: dict[str, int] = {}
    retried: int = 0
    damaged: int = 0
    taken: int = 0
    time: float = 0.0
    status: str = ""
    rules: Rules | None = None

    @property
    def position(self) -> Position:
        """The place where delivery goes on."""
        return Position(self.segment, self.offset)


def load(path: Path) -> Cursor:
    """Return the cursor in a file, or one at the beginning if there is none.

    Raises:
        JournalError: The file holds something else.
    """
    try:
        cursor = msgspec.json.decode(path.read_bytes(), type=Cursor)
    except (FileNotFoundError, NotADirectoryError):
        return Cursor()
    except OSError as error:
        message = f"{path} cannot be read ({error.strerror}); nothing is delivered before it can."
        raise JournalError(message) from error
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        message = f"{path} is not a cursor ({error}); delete it to deliver that tracker's records from the start."
        raise JournalError(message) from error
    if not all(0 <= number < _LARGEST for number in (cursor.segment, cursor.offset, cursor.seq)):
        message = f"{path} is not a cursor (impossible position); delete it to deliver from the start."
        raise JournalError(message)
    return cursor


def begun(path: Path, rules: Rules | None) -> Cursor:
    """Return the cursor in a file; one at its beginning with these rules, if there are any.

    Raises:
        JournalError: As `load`.
    """
    cursor = load(path)
    if rules is not None and not cursor.seq:
        cursor.rules = rules or None
    return cursor


def save(path: Path, cursor: Cursor) -> None:
    """Store a cursor atomically.

    Raises:
        OSError: It cannot be written.
    """
    replace_file(path, json_bytes(cursor))
