"""The download of a mirrored run: a folder of this machine is brought up to what the store has."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Collection
from pathlib import Path

from accel_track.errors import JournalError
from accel_track.files import make_private, replace_file
from accel_track.journal import cursor as cursors
from accel_track.journal.directory import RunDirectory
from accel_track.journal.info import RunInfo, TrackerInfo
from accel_track.mirror.layout import (
    CLUE,
    EVIDENCE,
    LARGEST_CLUE,
    LARGEST_DOCUMENT,
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
    decoded,
    in_order,
    parts_by_file,
    plain_path,
    rank_name,
    rank_of,
)
from accel_track.mirror.store import Store

_EXCLUSIVE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
_GROWS = os.O_WRONLY | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


class Download:
    """The copy of a store's run into a run directory; files that are there are not fetched again.

    The store's content is somebody else's: names that are none are passed over, so that nothing is written outside of
    the folder, and a part whose bytes are not what its name says is none.

    Args:
        store: Where from.
        name: The run's folder in there; empty if the store's URL is the run's.
        target: The run directory.
    """

    def __init__(self, store: Store, name: str, target: RunDirectory) -> None:
        """Fetch nothing yet."""
        self.store, self.name, self._target = store, name, target
        self.states: dict[int, State] = {}
        """The content of each rank's `mirror.json`."""
        self.problems: list[str] = []
        """The parts, at the last look, that `mirror.json` names and that are missing or damaged."""
        self._lacking: set[int] = set()
        """Ranks of which some were."""

    def get(self, name: str) -> bytes | None:
        """Return a document of the run, or None.

        Raises:
            StoreError: The store cannot be reached.
        """
        return self.store.get(self.path(name), LARGEST_DOCUMENT)

    def path(self, name: str) -> str:
        """Return the name of one of the run's objects."""
        return f"{self.name}/{name}" if self.name else name

    def info(self) -> RunInfo | None:
        """Return the content of the store's `run.json`; None if there is none that can be read.

        Raises:
            StoreError: The store cannot be reached.
        """
        found: RunInfo | None = decoded(self.get(RUN), RunInfo)
        return found

    def state(self, rank: int = 0) -> State | None:
        """Return the current content of a rank's `mirror.json`, or None.

        Raises:
            StoreError: The store cannot be reached.
            JournalError: A later version of this package has written it.
        """
        state: State | None = decoded(self.get(f"{rank_name(rank)}/{STATE}"), State)
        if state is not None and state.version != 1:
            message = f"{self.store.shown}: {self.name or RUN} has version {state.version} of the layout; upgrade."
            raise JournalError(message)
        return state

    def ranks(self) -> list[int]:
        """Return the ranks that the store has.

        Raises:
            StoreError: The store cannot be reached.
        """
        found = (rank_of(name) for name in self.store.folders(self.name))
        return sorted(rank for rank in found if rank is not None)

    def look(self, info: RunInfo, *, media: bool = True, kept: Collection[str] = ()) -> bool:
        """Fetch the new parts; return whether there were any.

        Args:
            info: What `info` returned.
            media: Whether to fetch media and artifacts, too.
            kept: Names of the trackers whose cursors here are ahead of the store's.

        Raises:
            StoreError: The store cannot be reached.
            JournalError: A later version of this package has written it.
            OSError: The folder cannot be written to.
        """
        self.problems, news = [], False
        for rank in self.ranks():
            state, known = self.state(rank), self.states.get(rank)
            if state is None:
                continue
            # Everything that `state` names was in the store before `state` was.
            if known is None or is_news(state, known) or rank in self._lacking:
                before = len(self.problems)
                self.rank(rank, state, media=media)
                (self._lacking.add if len(self.problems) > before else self._lacking.discard)(rank)
                news = True
            self.states[rank] = state
        self._documents(info, kept)
        return news

    def rank(self, rank: int, state: State, *, media: bool = True) -> None:
        """Fetch a rank's folder, as far as a state says.

        Raises:
            StoreError: The store cannot be reached.
            OSError: The folder cannot be written to.
        """
        folder, start = self._target.rank(rank), self.path(rank_name(rank))
        make_private(folder)
        if media and state.files:
            self._media(folder, f"{start}/{MEDIA}")
        for name, size in state.segments.items():
            if not SEGMENT.fullmatch(name):
                continue
            if _size(folder / name) < size:
                parts = parts_by_file({f"{name}/{one}": n for one, n in self.store.sizes(f"{start}/{name}").items()})
                self._grow(folder / name, f"{start}/{name}", parts.get(name, []), size)
            if (there := _size(folder / name)) < size:
                self.problems.append(f"{start}/{name}: {size - there} bytes are missing or damaged in the store")
        self._clues(folder / EVIDENCE, f"{start}/{EVIDENCE}")

    def _clues(self, folder: Path, start: str) -> None:
        for name, size in self.store.sizes(start).items():
            if CLUE.fullmatch(name) and size <= LARGEST_CLUE and (data := self.store.get(f"{start}/{name}", size)):
                make_private((folder / name).parent)
                replace_file(folder / name, data)

    def _media(self, folder: Path, start: str) -> None:
        for name, parts in parts_by_file(self.store.sizes(start)).items():
            path = plain_path(name)
            if path is None or not MEDIUM.fullmatch(path):
                self.problems.append(f"{start}/{name!r} is no name of a medium; it is left out")
            elif path == SUMS:
                make_private(folder / MEDIA)
                self._grow(folder / MEDIA / SUMS, f"{start}/{name}", parts, contiguous(parts)[0])
            elif contiguous(parts)[1] and not os.path.lexists(folder / MEDIA / path):
                try:
                    self._whole(folder / MEDIA / path, f"{start}/{name}", parts)
                except (FileExistsError, IsADirectoryError, NotADirectoryError) as error:
                    self.problems.append(f"{start}/{name!r} cannot have that name ({error.strerror})")

    def _part(self, start: str, part: Part) -> bytes | None:
        data = self.store.get(f"{start}/{part.name}", PART)
        if data is not None and part.holds(data):
            return data
        self.problems.append(f"{start}/{part.name} is not what its name says")
        return None

    def _pieces(
        self, start: str, parts: list[Part], begin: int, end: float, write: Callable[[int, bytes], None]
    ) -> int:
        """Write the parts of a file between two bytes, as far as there is no gap; return the place reached."""
        for part in sorted(parts, key=in_order):
            if part.offset > begin or begin >= end:
                break
            if (part.end > begin or not part.length) and (data := self._part(start, part)) is not None:
                write(begin, data[begin - part.offset :])
                begin = part.end
        return begin

    def _grow(self, file: Path, start: str, parts: list[Part], end: int) -> None:
        """Append to a file what is new of it. Two processes that do so at once write the same."""
        begin = _size(file)
        if begin >= end:
            return
        descriptor = os.open(file, _GROWS, 0o600)
        with open(descriptor, "wb", buffering=0) as stream:

            def write(offset: int, data: bytes) -> None:
                stream.seek(offset)
                stream.write(data[: end - offset])

            self._pieces(start, parts, begin, end, write)

    def _whole(self, file: Path, start: str, parts: list[Part]) -> None:
        """Fetch a file, which gets its name once it is complete."""
        make_private(file.parent)
        new = file.parent / f".{secrets.token_hex(8)}.new"
        end, modified = max((part.end, part.modified) for part in parts if part.modified is not None)
        try:
            with open(os.open(new, _EXCLUSIVE, 0o600), "wb") as stream:

                def write(offset: int, data: bytes) -> None:
                    stream.seek(offset)
                    stream.write(data)

                there = self._pieces(start, parts, 0, end or 1, write)
            if there == end:
                os.utime(new, ns=(modified, modified))
                os.replace(new, file)
        finally:
            with contextlib.suppress(FileNotFoundError):
                new.unlink()

    def _documents(self, info: RunInfo, kept: Collection[str]) -> None:
        """Store `run.json` and the trackers' documents."""
        here = None
        with contextlib.suppress(JournalError):
            here = self._target.load()
        for name, tracker in ({} if here is None else here.trackers).items():
            # What this machine has begun and was killed before it could tell the store, is its to continue.
            if name in kept or (tracker.identity and not info.trackers.get(name, TrackerInfo()).identity):
                info.trackers[name] = tracker
        for rank in self.states:
            for delivered in self.delivered(rank):
                if delivered.name not in kept:
                    overlay(info, rank, delivered)
                    self.take_cursor(rank, delivered)
        if info != here:
            make_private(self._target.path)
            self._target.save(info)

    def take_cursor(self, rank: int, delivered: Delivered) -> None:
        """Take over how far a tracker is, unless this machine has delivered since, and could not tell the store."""
        file = self._target.cursor(delivered.name, rank)
        if delivered.cursor.time >= cursors.load(file).time:
            make_private(file.parent)
            cursors.save(file, delivered.cursor)

    def delivered(self, rank: int) -> list[Delivered]:
        """Return the store's state of each tracker's deliveries of a rank.

        Raises:
            StoreError: The store cannot be reached.
        """
        folder = f"{rank_name(rank)}/{TRACKERS}"
        names = [name for name in self.store.sizes(self.path(folder)) if name.endswith(".json") and "/" not in name]
        found = (decoded(self.get(f"{folder}/{name}"), Delivered) for name in names)
        return [one for one in found if one is not None and one.name.strip(". ")]


def is_news(state: State, known: State) -> bool:
    """Return whether a rank has something else in the store than when a state was known."""
    return (known.segments, known.files, known.over) != (state.segments, state.files, state.over)


def overlay(info: RunInfo, rank: int, delivered: Delivered) -> None:
    """Take over what continues a backend run: others than the program may have delivered since."""
    if delivered.tracker is None:
        return
    if not rank:
        info.trackers[delivered.name] = delivered.tracker
    elif delivered.name in info.trackers and (identity := delivered.tracker.ranks.get(str(rank))):
        info.trackers[delivered.name].ranks[str(rank)] = identity


def _size(path: Path) -> int:
    try:
        return path.stat(follow_symlinks=False).st_size
    except FileNotFoundError:
        return 0
