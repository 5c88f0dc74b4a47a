"""Lightning's checkpoints on their way to the trackers: those to store, and those to delete again."""

from __future__ import annotations

import os
import re
import sys
import time
from pathlib import Path
from typing import Any, Literal

from accel_track.errors import warn
from accel_track.run import Run

LogCheckpoints = Literal["best", "last", "all"]

_NOT_IN_NAMES = re.compile(r"[^\w.=+\- ]")
_PATIENCE = 30.0
"""The wait after an error for checkpoints that are saved in the background, in seconds."""


class CheckpointUploads:
    """The transfer of a Trainer's checkpoints to trackers; it follows every ModelCheckpoint.

    Args:
        which: "all": each checkpoint as it is saved. "best": the best one of each ModelCheckpoint. "last": the newest.
            A checkpoint that Lightning has deleted, or that is no longer the best or the newest, is deleted in the
            backends, too.
    """

    def __init__(self, which: LogCheckpoints) -> None:
        """Begin without a checkpoint."""
        self._which = which
        self._stored: dict[str, tuple[str, str]] = {}  # name -> ModelCheckpoint, path
        self._awaited: dict[str, tuple[str, int | None, dict[str, Any]]] = {}
        self._about: dict[str, tuple[int | None, dict[str, Any]]] = {}  # name -> step and what the trackers were told
        self._given: dict[str, list[tuple[int, ...]]] = {}  # name -> what the trackers got last, as `_state`
        self._told = False

    def saved(self, run: Run, callback: Any) -> None:
        """Give a run the new checkpoint, after a ModelCheckpoint (or a weak proxy of one) has saved.

        Lightning calls this before it deletes a checkpoint that is no longer among the best, and before a checkpoint
        that is saved in the background exists: the next call and `end` look after both.
        """
        self._look_again(run)
        self._take(run, callback)
        self._tell_again(run, callback)

    def _take(self, run: Run, callback: Any) -> None:
        newest = callback._last_checkpoint_saved or callback.last_model_path  # noqa: SLF001 - there is no public name
        path = callback.best_model_path if self._which == "best" else newest
        if not path or self._is_elsewhere(path):
            return
        owner = str(callback.state_key)
        name = self._name(owner, path, callback.dirpath)
        if self._which != "all":
            self._delete(run, [other for other, (whose, _) in self._stored.items() if whose == owner and other != name])
        if self._which == "best" and path != newest and name in self._stored:
            return
        self._stored[name] = (owner, path)
        step, about = callback._last_global_step_saved, {**_score(callback, path), **_flags(callback, path)}  # noqa: SLF001
        self._about[name] = step, about
        self._store(run, name, path, step, about)

    def _tell_again(self, run: Run, callback: Any) -> None:
        """Tell the trackers which of a ModelCheckpoint's files have become, or are no longer, the best or the last."""
        owner = str(callback.state_key)
        for name, path in [(name, path) for name, (whose, path) in self._stored.items() if whose == owner]:
            step, told = self._about[name]
            about = {**told, **_flags(callback, path)}
            if about != told:
                self._about[name] = step, about
                if name in self._awaited:
                    self._awaited[name] = path, step, about
                if name in self._given:
                    run.describe_checkpoint(name, step, about)

    def end(self, run: Run) -> None:
        """Wait for checkpoints that are saved in the background, and delete those that Lightning has deleted.

        Lightning itself waits for them, but not before it tells callbacks of an error.
        """
        failing = sys.exc_info()[1] is not None
        give_up = time.monotonic() + (_PATIENCE if failing else 0.0)
        self._look_again(run)
        while self._awaited and time.monotonic() < give_up:
            time.sleep(0.05)
            self._look_again(run)
        for path, *_ in self._awaited.values():
            if _state(path) is None:
                when = f" within {_PATIENCE:g} s after the error" if failing else ""
                warn(f"the checkpoint {path} was not saved{when}, so trackers do not get it.")
        self._awaited.clear()
        self._look_again(run)

    def _name(self, owner: str, path: str, folder: str | None) -> str:
        """Return the file's path in its ModelCheckpoint's folder, without its ending, as one name.

        A number is added where another file has that name, or a file of another ModelCheckpoint.
        """
        place = os.path.relpath(path, folder) if folder else os.pardir
        place = os.path.basename(path) if place.startswith(os.pardir) else place
        name = name_ = _NOT_IN_NAMES.sub("_", place.removesuffix(".ckpt"))
        number = 1
        while self._stored.get(name, (owner, path)) != (owner, path):
            number += 1
            name = f"{name_}-{number}"
        return name

    def _is_elsewhere(self, path: str) -> bool:
        """Return whether a checkpoint is on a remote file system; warn about the first one."""
        elsewhere = "://" in path
        if elsewhere and not self._told:
            self._told = True
            warn(f"the checkpoint {path} is not a local file; trackers get local files only.")
        return elsewhere

    def _look_again(self, run: Run) -> None:
        for name, (path, step, values) in list(self._awaited.items()):
            self._store(run, name, path, step, values)
        gone = [name for name, (_, path) in self._stored.items() if _state(path) is None]
        self._delete(run, [name for name in gone if name not in self._awaited])

    def _store(self, run: Run, name: str, path: str, step: int | None, values: dict[str, Any]) -> None:
        state = _state(path)
        if state is None or state == self._given.get(name):  # saved in the background, maybe over an older one
            self._awaited[name] = (path, step, values)
            return
        self._awaited.pop(name, None)
        try:
            run.log_checkpoint(name, path, step, values)
        except OSError as error:
            warn(f"the checkpoint {path} cannot be given to the trackers ({error.strerror or error}).")
        else:
            self._given[name] = state

    def _delete(self, run: Run, names: list[str]) -> None:
        for name in names:
            del self._stored[name]
            self._awaited.pop(name, None)
            self._about.pop(name, None)
            if self._given.pop(name, None) is not None:
                run.delete_checkpoint(name)


def _state(path: str) -> list[tuple[int, ...]] | None:
    """Return a fingerprint that changes when the checkpoint's files are rewritten; None if there are none."""
    place = Path(path)
    try:
        found = [one.stat() for one in (place.rglob("*") if place.is_dir() else (place,))]
    except OSError:
        return None
    return sorted((one.st_ino, one.st_mtime_ns, one.st_size) for one in found) or None


def _score(callback: Any, path: str) -> dict[str, Any]:
    score = callback.best_k_models.get(path, callback.best_model_score if path == callback.best_model_path else None)
    return {"monitor": callback.monitor, "score": None if score is None else float(score)}


def _flags(callback: Any, path: str) -> dict[str, bool]:
    """Return whether a file is at this moment its ModelCheckpoint's best, by its monitor, and its last one."""
    copied = callback.save_last and callback.save_last != "link"  # the newest file, to the name of the last one
    newest = callback._last_checkpoint_saved or callback.last_model_path  # noqa: SLF001 - as above
    return {
        "best": callback.monitor is not None and path == callback.best_model_path,
        "last": path == (callback.last_model_path if copied else newest),
    }
