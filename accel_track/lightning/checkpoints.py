"""Which of the checkpoints that Lightning saves are given to the trackers, and which they are to delete again."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import Any, Literal

from accel_track.errors import warn
from accel_track.run import Run

LogCheckpoints = Literal["best", "last", "all"]

_NOT_IN_NAMES = re.compile(r"[^\w.=+\- ]")
_PATIENCE = 30.0
"""How long to wait at the end for checkpoints that are saved in the background, in seconds."""


class CheckpointUploads:
    """Follows every ModelCheckpoint of a Trainer.

    Args:
        which: "all": each checkpoint as it is saved. "best": the best one of each ModelCheckpoint. "last": the newest.
            One that Lightning has deleted, or that is no longer the best or the newest, is deleted in the backends too.
    """

    def __init__(self, which: LogCheckpoints) -> None:
        """Begin with none."""
        self._which = which
        self._stored: dict[str, tuple[str, str]] = {}  # name -> ModelCheckpoint, path
        self._awaited: dict[str, tuple[str, int | None, dict[str, Any]]] = {}

    def saved(self, run: Run, callback: Any) -> None:
        """Give a run what is new, after a ModelCheckpoint (or a weak proxy of one) has saved.

        Lightning calls this before it deletes what is no longer among the best, and before one that is saved in the
        background is there: both are looked after at the next call and in `end`.
        """
        self._look_again(run)
        newest = callback._last_checkpoint_saved or callback.last_model_path  # noqa: SLF001 - there is no public name
        path = callback.best_model_path if self._which == "best" else newest
        if not path:
            return
        owner = str(callback.state_key)
        name = self._name(owner, path)
        if self._which != "all":
            self._delete(run, [other for other, (whose, _) in self._stored.items() if whose == owner and other != name])
        if self._which == "best" and path != newest and name in self._stored:
            return
        self._stored[name] = (owner, path)
        self._store(run, name, path, callback._last_global_step_saved, _about(callback, path))  # noqa: SLF001

    def end(self, run: Run) -> None:
        """Wait for checkpoints that are saved in the background, and delete those that Lightning has deleted."""
        give_up = time.monotonic() + _PATIENCE
        while self._awaited and time.monotonic() < give_up:
            self._look_again(run)
            time.sleep(0.05 if self._awaited else 0)
        for path, *_ in self._awaited.values():
            warn(
                f"the checkpoint {path} was not saved within {_PATIENCE:g} s after the end, so trackers do not get it."
            )
        self._awaited.clear()
        self._look_again(run)

    def _name(self, owner: str, path: str) -> str:
        """Return the file's name without its end, and a number where another ModelCheckpoint has one of that name."""
        name = name_ = _NOT_IN_NAMES.sub("_", Path(path).name.removesuffix(".ckpt"))
        number = 1
        while name in self._stored and self._stored[name][0] != owner:
            number += 1
            name = f"{name_}-{number}"
        return name

    def _look_again(self, run: Run) -> None:
        for name, (path, step, values) in list(self._awaited.items()):
            if os.path.exists(path):
                del self._awaited[name]
                self._store(run, name, path, step, values)
        gone = [name for name, (_, path) in self._stored.items() if not os.path.exists(path)]
        self._delete(run, [name for name in gone if name not in self._awaited])

    def _store(self, run: Run, name: str, path: str, step: int | None, values: dict[str, Any]) -> None:
        try:
            run.log_checkpoint(name, path, step, values)
        except FileNotFoundError:
            self._awaited[name] = (path, step, values)
        except OSError as error:
            warn(f"the checkpoint {path} cannot be given to the trackers ({error.strerror or error}).")

    def _delete(self, run: Run, names: list[str]) -> None:
        for name in names:
            del self._stored[name]
            self._awaited.pop(name, None)
            run.delete_checkpoint(name)


def _about(callback: Any, path: str) -> dict[str, Any]:
    score = callback.best_k_models.get(path, callback.best_model_score if path == callback.best_model_path else None)
    return {
        "monitor": callback.monitor,
        "score": None if score is None else float(score),
        "best": path == callback.best_model_path,
        "last": path in (callback.last_model_path, callback._last_checkpoint_saved),  # noqa: SLF001 - as above
    }
