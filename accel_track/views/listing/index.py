"""The index: what was found out about the runs of a store, kept there, so that only changed runs are read again."""

from __future__ import annotations

import contextlib
import os
import zlib
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from accel_track.files import read_file, replace_file
from accel_track.journal.directory import PARENT, RunDirectory
from accel_track.texts import storable_text

FoundT = TypeVar("FoundT")

VERSION = 2
"""Changes with the meaning of what is kept."""

_LARGEST = 2**30
_CHECKSUM = 4


class Index(Generic[FoundT]):
    """A file `.accel_track/index-<name>`, made again where it is missing, damaged, or of another version.

    It is a convenience: where it cannot be written, everything is found out anew. Two processes may use it at once;
    what the later one writes stays.

    Args:
        store: The folder `.accel_track`.
        name: What is kept, as a part of the file's name.
        kind: The type of what is kept of each run, which msgspec can encode.
    """

    def __init__(self, store: Path, name: str, kind: type[FoundT]) -> None:
        """Read the file, if there is one."""
        self._path = store / f"index-{name}"
        self._usable = store.name == PARENT
        self._type = tuple[int, dict[str, tuple[bytes, kind]]]  # type: ignore[valid-type]
        self._known: dict[str, tuple[bytes, FoundT]] = self._loaded() if self._usable else {}
        self._now: dict[str, tuple[bytes, FoundT]] = {}
        self._asked: set[str] = set()

    def _loaded(self) -> dict[str, tuple[bytes, FoundT]]:
        with contextlib.suppress(OSError, ValueError, msgspec.MsgspecError, RecursionError):
            data = read_file(self._path, _LARGEST)
            if zlib.crc32(data[_CHECKSUM:]) == int.from_bytes(data[:_CHECKSUM], "little"):
                version, known = msgspec.msgpack.decode(data[_CHECKSUM:], type=self._type)
                return dict(known) if version == VERSION else {}
        return {}

    def known(self, run: RunDirectory, signature: bytes | None) -> FoundT | None:
        """Return the entry of a run; None if there is none, or one of another time.

        Args:
            run: A run of the store.
            signature: Changes with the run, see `summary.signature`. None: nothing is known.
        """
        found = self._known.get(_key(run))
        return None if found is None or found[0] != signature else found[1]

    def note(self, run: RunDirectory, signature: bytes | None, found: FoundT) -> None:
        """Keep the entry of a run.

        Args:
            run: A run of the store.
            signature: As it was before the run was read, so that what changed meanwhile is met the next time. None:
                nothing is kept.
            found: What is known.
        """
        key = _key(run)
        self._asked.add(key)
        if signature is not None:
            known = self._known.get(key)
            self._now[key] = known if known is not None and known[1] is found else (signature, found)

    def save(self) -> None:
        """Write the entries that were asked for, if they differ from the file's; those of lost runs are left out."""
        others = self._known.keys() - self._asked
        now = self._now | {key: self._known[key] for key in others if (self._path.parent / key).is_dir()}
        is_same = self._known.keys() == now.keys() and all(one is self._known[key] for key, one in now.items())
        if self._usable and not is_same:
            with contextlib.suppress(OSError, ValueError):  # a full disk; a text that MessagePack does not hold
                data = msgspec.msgpack.encode((VERSION, now))
                replace_file(self._path, zlib.crc32(data).to_bytes(_CHECKSUM, "little") + data)


def _key(run: RunDirectory) -> str:
    parts = os.fspath(run.path).rsplit(os.sep, 2)[-2:]
    return storable_text("/".join(parts if len(parts) > 1 else run.path.absolute().parts[-2:]))
