"""The staging of files: linked or copied into the run directory until every tracker has them."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Callable, Collection
from pathlib import Path

from accel_track.files import make_private, sync_file

FOLDER = "media"


def kept_file(folder: Path, path: str) -> Path | None:
    """Return the file or folder of that path below a rank's folder; None if it is gone, or not among what was kept.

    Args:
        folder: The rank's folder.
        path: From a record, which somebody else may have written: no path, and no link, leads out of the folder.
    """
    kept, place = folder / path, os.path.realpath(folder / FOLDER)
    inside = os.path.realpath(kept).startswith(place + os.sep)
    links = any(one.is_symlink() for one in kept.rglob("*")) if inside and kept.is_dir() else False
    return kept if inside and not links and kept.exists() else None


class Staging:
    """The files of one rank's checkpoints and artifacts.

    Args:
        folder: The rank's folder.
        durable: Whether what is kept survives a power cut from then on.
    """

    def __init__(self, folder: Path, *, durable: bool = False) -> None:
        """Touch nothing yet."""
        self.folder = folder
        self._durable = durable
        self._waiting: list[tuple[int, str]] = []

    def keep(
        self, path: str, copy: Callable[[str, str], object] | None = None, only: Collection[str] | None = None
    ) -> str:
        """Link a file, or the files of a folder, or copy them to another file system; return the path below the folder.

        Args:
            path: The file or folder.
            copy: Copies a file, where it is not to be linked.
            only: The files of the folder, by their paths in there; default: all.

        Raises:
            OSError: They cannot be read, or there is no room.
        """
        source = Path(os.path.realpath(path))
        source.stat()  # before a folder is made for it
        kept = Path(FOLDER, secrets.token_hex(4), Path(path).name or "files")  # "/" has no name
        place, folder = copy or _link, self.folder / kept.parent
        new = folder.with_name(f".{folder.name}.new")  # the mirror takes what has its name for whole
        target = new / kept.name
        make_private(new)
        try:
            if not source.is_dir():
                place(os.fspath(source), os.fspath(target))
            elif only is None:
                shutil.copytree(source, target, copy_function=place)
            for name in only or ():
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                place(os.path.realpath(source / name), os.fspath(target / name))
            for one in (target, *target.rglob("*"), new) if self._durable else ():
                sync_file(one)
            new.rename(folder)
        except BaseException:
            shutil.rmtree(new, ignore_errors=True)
            raise
        if self._durable:
            sync_file(folder.parent)
        return kept.as_posix()

    def waiting(self, seq: int, kept: str) -> None:
        """Note that a record of that number needs what was kept."""
        if kept:
            self._waiting.append((seq, kept))

    @property
    def is_waiting(self) -> bool:
        """Whether a record still needs something."""
        return bool(self._waiting)

    def release(self, handled: int) -> None:
        """Delete the files that only records before a number need."""
        while self._waiting and self._waiting[0][0] < handled:
            _, kept = self._waiting.pop(0)
            shutil.rmtree(self.folder / Path(kept).parent, ignore_errors=True)


def _link(source: str, target: str) -> None:
    with contextlib.suppress(OSError):  # another file system, or one without links
        os.link(source, target)
        return
    shutil.copy2(source, target)
