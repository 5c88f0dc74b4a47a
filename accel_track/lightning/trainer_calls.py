"""The Trainer's calls: their checkpoint, next step and command-line options, of which loggers are not told."""

from __future__ import annotations

import os
import sys
from types import FrameType
from typing import Any, NamedTuple

import yaml


class Call(NamedTuple):
    """A Trainer call that is being set up.

    Attributes:
        trainer: The Trainer.
        checkpoint: The checkpoint that the call goes on from, or None.
    """

    trainer: Any
    checkpoint: str | os.PathLike[str] | None


def call_being_set_up() -> Call | None:
    """Return the Trainer call whose setup asks for the logger's `experiment`; None if other code asks.

    Lightning (2.5 to 2.6, `pytorch/trainer/call.py`) touches `experiment` on all ranks in `_call_setup_hook`, which
    `Trainer._run(model, ckpt_path)` calls, and calls the `setup` of callbacks there. Nothing else tells a logger in
    time which checkpoint the call goes on from: callbacks are restored, and `Trainer.ckpt_path` is set, when folders
    are chosen already. So this looks at its callers. If they are others, no checkpoint is known, and all else works.
    """
    frame: FrameType | None = sys._getframe(2)  # noqa: SLF001 - the caller of `experiment`, or of a callback
    for _ in range(3):
        if frame is None or frame.f_code.co_name == "_call_setup_hook":
            break
        frame = frame.f_back
    run = None if frame is None else frame.f_back
    if frame is None or run is None or run.f_code.co_name != "_run":
        return None
    trainer = frame.f_locals.get("trainer")
    return None if trainer is None else Call(trainer, run.f_locals.get("ckpt_path"))


def next_step(trainer: Any) -> int | None:
    """Return the step that a Trainer logs next if it is continued from a checkpoint saved now, or None if unknown.

    It is the number of batches that ended in an optimizer step. Lightning's loop counts a batch at its very end, later
    than callbacks may save.
    """
    try:
        loop = trainer.fit_loop.epoch_loop
        batch = loop.batch_progress.current
        in_batch = trainer.validating or batch.completed < batch.processed
        return int(loop._batches_that_stepped) + (in_batch and not loop._should_accumulate())  # noqa: SLF001
    except AttributeError:
        return None


def command_line_options(trainer: Any) -> dict[str, Any] | None:
    """Return the options of Lightning's command line, which it keeps in a callback; None without a command line."""
    for callback in trainer.callbacks:
        if _saves_options(callback):
            return {"options": yaml.safe_load(callback.parser.dump(callback.config, skip_none=False))}
    return None


def allow_options_again(trainer: Any) -> None:
    """Let Lightning's command line replace the options that it saved in the folder of a continued run."""
    for callback in trainer.callbacks:
        if _saves_options(callback):
            callback.overwrite = True


def _saves_options(callback: Any) -> bool:
    return all(hasattr(callback, name) for name in ("parser", "config", "overwrite", "save_to_log_dir"))
