"""The upload of one rank's folder: what was added to it since the last look, in parts that never change."""

from __future__ import annotations

import contextlib
import os
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping

from accel_track.errors import JournalError
from accel_track.files import open_regular, read_file
from accel_track.journal import cursor as cursors
from accel_track.journal.directory import RunDirectory
from accel_track.journal.info import RunInfo
from accel_track.mirror.layout import (
    CLUE,
    EVIDENCE,
    LARGEST_CLUE,
    MEDIA,
    MEDIUM,
    PART,
    RUN,
    SEGMENT,
    STATE,
    SUMS,
    TRACKERS,
    Delivered,
    Part,
    State,
    contiguous,
    encoded,
    in_order,
    part_of,
    parts_by_file,
    rank_name,
    started_folders,
    stored_name,
)
from accel_track.mirror.store import Store

_AT_ONCE = 16
"""Objects that are on their way at once; together they have two parts' bytes at most."""

PATIENCE = 30.0
"""Seconds that the records of media wait until the media are encoded."""


class OtherJournalError(JournalError):
    """The store holds a journal of the run that this one does not go on from."""


class Upload:
    """The copy of one rank's folder, and of `run.json` if the rank is 0, to a store.

    A record's files are stored before the record is. `mirror.json` is stored last and says how far the rest
    counts. A look that fails is repeated, and nothing that is there is sent again.

    Args:
        store: Where to.
        run: The run.
        rank: Whose folder.
        interval: Seconds between two looks, for readers.
        pause: Waits so many seconds.
    """

    def __init__(
        self, store: Store, run: RunDirectory, rank: int, interval: float, pause: Callable[[float], None]
    ) -> None:
        """Know nothing of the store yet."""
        self._store, self._run, self._rank, self._interval, self._pause = store, run, rank, interval, pause
        self.name = f"{stored_name(run.path.parent.name)}/{stored_name(run.path.name)}"
        self._folder = run.rank(rank)
        self._begun = False
        self._sent: dict[str, int] = {}
        """Bytes of each growing file, and of each file that is not there in full, by its path in the rank's folder."""
        self._whole: set[str] = set()
        """Paths of the files of `media` that are there in full."""
        self._waited_for: set[str] = set()
        self._documents: dict[str, bytes] = {}
        self._batch: dict[str, bytes] = {}
        self._lately: list[tuple[str, int]] = []

    def look(self, owned: Mapping[str, bool], *, over: bool = False) -> None:
        """Copy the added bytes.

        Args:
            owned: Names of the trackers that the program delivers to itself, and whether it goes on with each.
            over: Whether nothing more will come.

        Raises:
            StoreError: The store cannot be reached; what it has so far is not sent again.
            OtherJournalError: It holds another journal of the run.
        """
        if not self._begun:
            self._find()
        info = self._info()
        documents = self._tracker_documents(owned, info)  # before the segments, beyond which no cursor is then
        sizes = self._sizes()
        self._wait_for_encoding()
        for path in self._media():
            self._add_file(path)
        self._add_growth(f"{MEDIA}/{SUMS}", self._size(f"{MEDIA}/{SUMS}"))
        self._flush()
        for name, size in sizes.items():  # a part of a record that the disk did not take was removed again by now
            self._add_growth(name, min(size, self._size(name)))
        self._flush()
        for name, data in documents.items():
            self._document(f"{rank_name(self._rank)}/{name}", data)
        for name, data in self._clues():
            self._document(f"{rank_name(self._rank)}/{EVIDENCE}/{name}", data)
        if info is not None and not self._rank:
            asked = started_folders(info.project, info.wanted, None)
            for folder in (*started_folders(info.project, info.name, info.job), *asked):
                self._document("", b"", at=f"{folder}/{stored_name(info.run_id)}")
            self._document(RUN, encoded(info))
        self._state(owned, over=over)

    @property
    def segments(self) -> dict[str, int]:
        """Bytes of each segment that are in the store, by the name of its file."""
        return {path: sent for path, sent in list(self._sent.items()) if SEGMENT.fullmatch(path)}

    @property
    def behind(self) -> int:
        """The bytes of the journal and of media that are not known to be in the store."""
        files = sum(self._size(path) - self._sent.get(path, 0) for path in self._media())
        return files + sum(size - self._sent.get(name, 0) for name, size in self._sizes().items())

    # -- what there is ------------------------------------------------------------------------------------------------

    def _find(self) -> None:
        """Find out what the store has of the rank."""
        found = parts_by_file(self._store.sizes(f"{self.name}/{rank_name(self._rank)}"))
        names = {stored_name(path): path for path in [*self._sizes(), *self._media(), f"{MEDIA}/{SUMS}"]}
        for folder, parts in found.items():
            end, last = contiguous(parts)
            path = names.get(folder)
            if path is None or not self._agrees(path, parts):
                if SEGMENT.fullmatch(folder) and parts:
                    message = (
                        f"{self._store.shown} holds another journal of the run {self.name}, to which nothing is added; "
                        "the run was continued elsewhere, or its folder was deleted. Give another `mirror`."
                    )
                    raise OtherJournalError(message)
                continue  # deleted here since, or the mirror's own leftovers
            self._sent[path] = end
            if last:
                self._whole.add(path)
        self._begun = True

    def _agrees(self, path: str, parts: list[Part]) -> bool:
        """Return whether a file's bytes are those of its last part in the store."""
        last = max(parts, key=in_order)
        with contextlib.suppress(OSError), open(open_regular(self._folder / path), "rb") as file:
            file.seek(last.offset)
            return last.holds(file.read(last.length))
        return False

    def _info(self) -> RunInfo | None:
        try:
            return self._run.load()
        except JournalError:  # damaged, or gone: what is there stays
            return None

    def _sizes(self) -> dict[str, int]:
        with contextlib.suppress(OSError):
            names = sorted(one for one in os.listdir(self._folder) if SEGMENT.fullmatch(one))
            return {name: self._size(name) for name in names}
        return {}

    def _size(self, path: str) -> int:
        try:
            return os.stat(self._folder / path).st_size
        except OSError:
            return 0

    def _media(self) -> Iterator[str]:
        """Yield the paths of the files of `media` that are not in the store in full."""
        folder = self._folder / MEDIA
        with contextlib.suppress(OSError):
            for name in os.listdir(folder):
                path = f"{MEDIA}/{name}"
                if MEDIUM.fullmatch(name):
                    if path not in self._whole and name != SUMS and not name.endswith(".raw"):
                        yield path
                elif MEDIUM.fullmatch(f"{name}/*"):
                    for parent, _, names in os.walk(folder / name):
                        below = os.path.relpath(parent, self._folder).replace(os.sep, "/")
                        yield from (file for one in names if (file := f"{below}/{one}") not in self._whole)

    def _clues(self) -> Iterator[tuple[str, bytes]]:
        """Yield the files of `evidence` that are not empty."""
        for file in sorted((self._folder / EVIDENCE).glob("*/*")):
            name = file.relative_to(self._folder / EVIDENCE).as_posix()
            with contextlib.suppress(OSError):
                if CLUE.fullmatch(name) and (data := read_file(file, LARGEST_CLUE)):
                    yield name, data

    def _wait_for_encoding(self) -> None:
        """Wait until what was waiting to be encoded is; once for each, however that ends."""
        end, waiting = time.monotonic() + PATIENCE, self._raw() - self._waited_for
        while (waiting := waiting & self._raw()) and time.monotonic() < end:
            self._pause(0.1)
        self._waited_for = (self._waited_for & self._raw()) | waiting

    def _raw(self) -> set[str]:
        with contextlib.suppress(OSError):
            return {name for name in os.listdir(self._folder / MEDIA) if name.endswith(".raw")}
        return set()

    # -- what is sent -------------------------------------------------------------------------------------------------

    def _add_file(self, path: str) -> None:
        """Send a file that will not change, with its last part marked."""
        try:
            file = open_regular(self._folder / path)
            prefix = stored_name(path)
        except (OSError, UnicodeEncodeError):  # gone, a link, or of a name that no record can hold
            return
        with open(file, "rb") as stream:
            status = os.fstat(file)
            offset = self._sent.get(path, 0)
            while True:
                stream.seek(offset)
                data = stream.read(PART)
                last = offset + len(data) >= status.st_size
                if (not data and not last) or not (self._folder / path).exists():
                    return  # it is no longer wanted
                self._send(path, prefix, data, part_of(data, offset, status.st_mtime_ns if last else None))
                offset += len(data)
                if last:
                    return

    def _add_growth(self, path: str, size: int) -> None:
        """Send the appended bytes of a file."""
        offset = self._sent.get(path, 0)
        with contextlib.suppress(OSError), open(open_regular(self._folder / path), "rb") as stream:
            while offset < size:
                stream.seek(offset)
                data = stream.read(min(PART, size - offset))
                if not data:
                    return
                self._send(path, path, data, part_of(data, offset))
                offset += len(data)

    def _send(self, path: str, prefix: str, data: bytes, part: Part) -> None:
        if len(self._batch) >= _AT_ONCE or sum(map(len, self._batch.values())) + len(data) > 2 * PART:
            self._flush()
        self._batch[f"{self.name}/{rank_name(self._rank)}/{prefix}/{part.name}"] = data
        self._lately.append((path, -1 if part.modified is not None else part.end))

    def _flush(self) -> None:
        """Store the collected bytes."""
        batch, lately = self._batch, self._lately
        self._batch, self._lately = {}, []
        if batch:
            self._store.put_all(batch)
        for path, end in lately:
            if end < 0:
                self._whole.add(path)
                self._sent.pop(path, None)
            else:
                self._sent[path] = end

    def _tracker_documents(self, owned: Iterable[str], info: RunInfo | None) -> dict[str, bytes]:
        found = {}
        for name in owned:
            path = self._run.cursor(name, self._rank)
            with contextlib.suppress(JournalError):
                if path.exists():
                    delivered = Delivered(name, cursors.load(path), None if info is None else info.trackers.get(name))
                    found[f"{TRACKERS}/{stored_name(path.name)}"] = encoded(delivered)
        return found

    def _document(self, name: str, data: bytes, at: str = "") -> None:
        """Store a document of the run, or one that is elsewhere, if it has changed."""
        name = at or f"{self.name}/{name}"
        mark = zlib.crc32(data).to_bytes(4, "little") + len(data).to_bytes(8, "little")
        if self._documents.get(name) != mark:
            self._store.put(name, data)
            self._documents[name] = mark

    def _state(self, owned: Mapping[str, bool], *, over: bool) -> None:
        going_on = [name for name, goes_on in owned.items() if goes_on]
        state = State(time.time(), self._interval, over, going_on, self.segments, len(self._whole))
        self._store.put(f"{self.name}/{rank_name(self._rank)}/{STATE}", encoded(state))
