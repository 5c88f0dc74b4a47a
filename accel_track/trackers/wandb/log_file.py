"""The file of a wandb run: its records, as protobuf messages, read as far as it is whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from accel_track.trackers.reading.level_log import payloads
from accel_track.trackers.reading.places import begins_with

MAGIC = b":W&B"
"""The first bytes of each file."""

_NUMBER, _TWO_BYTES, _LAST_OF_NUMBER = 0x08, 0x80, 0x7F  # protobuf's tag of the field `num`, and its integers

HISTORY, SUMMARY, OUTPUT, STATS, TELEMETRY, OUTPUT_RAW, OUTPUT_LOGGER = 2, 3, 4, 7, 11, 13, 27
"""Numbers of kinds of records, as `wandb_internal.proto` has them."""


def is_run_file(path: Path) -> bool:
    """Return whether a file is one of a wandb run; never raises."""
    return begins_with(path, MAGIC)


def records(path: Path, lost: Counter[str], skip: Collection[int] = ()) -> Iterator[Any]:
    """Yield the records of a file, as wandb's protobuf classes.

    Args:
        path: The file.
        lost: Counts, by a sentence, what cannot be read.
        skip: Kinds of records that are left out, without being decoded.
    """
    from wandb.proto import wandb_internal_pb2

    make = getattr(wandb_internal_pb2, "Record")  # noqa: B009 - made when it is imported
    for payload in payloads(path, lost):
        if kind_of(payload) in skip:
            continue
        try:
            record = make.FromString(payload)
        except Exception:  # noqa: BLE001 - protobuf's DecodeError, whose module differs between its versions
            lost["a record that is damaged"] += 1
        else:
            yield record


def kind_of(payload: bytes) -> int:
    """Return the number of the first field of a record behind its own number: the kind, or that of an addition to it.

    Fields are written in the order of their numbers, and only the kinds from 17 on have something before them.
    """
    place = 0
    try:
        if payload[0] == _NUMBER:
            place = 1
            while payload[place] & _TWO_BYTES:
                place += 1
            place += 1
        tag = payload[place]
        if tag & _TWO_BYTES:
            tag = (tag & _LAST_OF_NUMBER) | payload[place + 1] << 7
    except IndexError:
        return 0
    return tag >> 3
