"""The layout of a mirrored run: the names of its objects, and what may be believed of a name that somebody wrote."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote

import msgspec

from accel_track.journal.cursor import Cursor
from accel_track.journal.info import TrackerInfo
from accel_track.texts import json_bytes

PART = 4 * 1024 * 1024
"""Bytes of the longest part: what an upload or a download has in memory at once."""

LARGEST_DOCUMENT = 16 * 1024 * 1024
"""Bytes of the longest `run.json`, state or tracker document that is read."""

RUN = "run.json"
STATE = "mirror.json"
TRACKERS = "trackers"
CLAIMS = "claims"
STARTED = ".started"
"""Folder beside the projects, in which runs are found by their name or job: an empty object for each."""

MEDIA = "media"
SUMS = "SHA256SUMS"
SEGMENT = re.compile(r"\d{8}\.seg", re.ASCII)
MEDIUM = re.compile(r"SHA256SUMS|[0-9a-f]{64}(?:\.[a-z0-9]{1,8}){1,2}|[0-9a-f]{8}/.{1,1024}", re.ASCII | re.DOTALL)
"""Path of a file of `media`: checksums, a medium, a file of an artifact or a checkpoint."""

EVIDENCE = "evidence"
CLUE = re.compile(r"\d{8}/(?:(?:began|beat|death)\.json|(?:stacks|children|error)\.txt)", re.ASCII)
"""Path of a file of `evidence`, which `accel-track autopsy` reads."""
LARGEST_CLUE = 2 * 1024 * 1024
"""Bytes of the longest file of `evidence` that is copied."""

_ODD = re.compile(r'[%\\*?\[\]#{}:"<>|^`\x00-\x1f\x7f]|^\.+$')
_PART = re.compile(r"(\d{15})-(\d{1,8})-([0-9a-f]{8})(?:-(\d{1,20}))?", re.ASCII)
_RANK = re.compile(r"rank-(\d{5})", re.ASCII)


class Part(NamedTuple):
    """The part of a file that one object holds.

    Attributes:
        offset: Byte of the file where it begins.
        length: Bytes in it.
        checksum: CRC-32 of them.
        modified: Of a file's last part, the time of the file's last change in nanoseconds since 1970-01-01 UTC; else
            None.
    """

    offset: int
    length: int
    checksum: int
    modified: int | None = None

    @property
    def end(self) -> int:
        """Byte of the file behind it."""
        return self.offset + self.length

    @property
    def name(self) -> str:
        """The last component of the object's name."""
        text = f"{self.offset:015d}-{self.length}-{self.checksum:08x}"
        return text if self.modified is None else f"{text}-{self.modified}"

    def holds(self, data: bytes) -> bool:
        """Return whether bytes are what the name says, all of them."""
        return len(data) == self.length and zlib.crc32(data) == self.checksum


def part_of(data: bytes, offset: int, modified: int | None = None) -> Part:
    """Return the part that bytes of a file are."""
    return Part(offset, len(data), zlib.crc32(data), modified)


def parsed_part(name: str) -> Part | None:
    """Return the part that the last component of an object's name stands for, or None."""
    match = _PART.fullmatch(name)
    if match is None or int(match[2]) > PART:
        return None
    return Part(int(match[1]), int(match[2]), int(match[3], 16), None if match[4] is None else int(match[4]))


def in_order(part: Part) -> tuple[int, int]:
    """Return the key by which parts of a file are sorted."""
    return part.offset, part.length


def contiguous(parts: Iterable[Part]) -> tuple[int, bool]:
    """Return the number of bytes from the first one to a gap, and whether the last part is among them."""
    end, whole = 0, False
    for part in sorted(parts, key=in_order):
        if part.offset > end:
            break
        end = max(end, part.end)
        whole = whole or (part.modified is not None and part.end == end)
    return end, whole


def parts_by_file(sizes: Mapping[str, int]) -> dict[str, list[Part]]:
    """Return the parts that are whole of each file, by its stored name, of the objects below a folder."""
    found: dict[str, list[Part]] = {}
    for name, size in sizes.items():
        file, _, last = name.rpartition("/")
        if file and (part := parsed_part(last)) is not None and part.length == size:
            found.setdefault(file, []).append(part)
    return found


def rank_name(rank: int) -> str:
    """Return the name of a rank's folder."""
    return f"rank-{rank:05d}"


def rank_of(name: str) -> int | None:
    """Return the rank whose folder has a name, or None."""
    match = _RANK.fullmatch(name)
    return None if match is None else int(match[1])


def stored_name(path: str) -> str:
    """Return the path of a file as a part of an object's name, for stores that take no odd characters.

    Raises:
        UnicodeEncodeError: It is not a text.
    """
    path.encode()
    return "/".join(_ODD.sub(lambda odd: "".join(f"%{ord(one):02X}" for one in odd[0]), one) for one in path.split("/"))


def plain_path(name: str) -> str | None:
    """Return the path of a file below its folder; None for a name that is none, or leads out of the folder."""
    try:
        parts = [unquote(one, errors="strict") for one in name.split("/")]
    except UnicodeDecodeError:
        return None
    wrong = any(not one.strip(". ") or any(odd in one for odd in ("/", "\\", "\0")) for one in parts)
    return None if wrong else "/".join(parts)


def started_folders(project: str, name: str | None, job: str | None) -> list[str]:
    """Return the folders with an empty object, called by a run's id, for each run of a name or a cluster job."""
    given = (("name", name), ("job", job))
    return [f"{STARTED}/{stored_name(project)}/{kind}/{stored_name(text)}" for kind, text in given if text is not None]


class State(msgspec.Struct):
    """The content of a rank's `mirror.json`: what of the rank is in the store, and whether more will come.

    Attributes:
        time: When it was written, in seconds since 1970-01-01 UTC.
        interval: Seconds until it is written again.
        over: Whether nothing more will come.
        trackers: Names of the trackers that the program delivers to itself.
        segments: Bytes of each segment that are in the store, by the name of its file.
        files: How many files of `media` are there.
        version: Version of the layout.
    """

    time: float
    interval: float
    over: bool = False
    trackers: list[str] = []
    segments: dict[str, int] = {}
    files: int = 0
    version: int = 1


class Delivered(msgspec.Struct):
    """The content of a tracker's document: how far it is with a rank, and what continues its backend run.

    Attributes:
        name: Name of the tracker.
        cursor: Its cursor.
        tracker: As in `run.json`; None if that says it.
    """

    name: str
    cursor: Cursor
    tracker: TrackerInfo | None = None


def decoded(data: bytes | None, kind: type[Any]) -> Any:
    """Return the document of a type that bytes hold; None if they hold none, or one that is still being written."""
    if data is None or len(data) > LARGEST_DOCUMENT:
        return None
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def encoded(document: Any) -> bytes:
    """Return a document as bytes."""
    return msgspec.json.format(json_bytes(document))
