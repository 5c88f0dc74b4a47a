"""The position of a fit, by its Trainer: the step of the current batch, and whether it ends an accumulation."""

from __future__ import annotations

import weakref
from typing import Any

from accel_track.lightning.trainer_run import Session


def _fitting(session: weakref.ref[Session]) -> Any:
    """Return the Trainer that fits with a session's logger, or None."""
    one = session()
    trainer = None if one is None else one.trainer
    return trainer if trainer is not None and trainer.training else None


def step_of_batch(session: weakref.ref[Session]) -> int | None:
    """Return the step with which the metrics of the present batch are logged; None outside of a `fit`."""
    trainer = _fitting(session)
    return None if trainer is None else trainer.fit_loop.epoch_loop._batches_that_stepped  # noqa: SLF001 - as Lightning


def ends_accumulation(session: weakref.ref[Session]) -> bool:
    """Return whether the present batch ends an accumulation of gradients."""
    trainer = _fitting(session)
    return trainer is None or not trainer.fit_loop._should_accumulate()  # noqa: SLF001 - as Lightning
