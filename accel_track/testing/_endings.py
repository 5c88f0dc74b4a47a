"""Conformance: the ends of runs, their continuation, and checkpoints."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from accel_track.errors import AccelTrackWarning
from accel_track.outcome import Outcome
from accel_track.testing._backend import Backend


class EndingsContract(Backend):
    """The contract of `outcome`, `rewind`, `log_checkpoint` and `delete_checkpoint`."""

    @pytest.mark.filterwarnings("ignore::accel_track.errors.AccelTrackWarning")
    def test_a_run_that_did_not_finish_goes_on_from_an_earlier_step(self, tmp_path: Path) -> None:
        """After each way to end, the run is continued, told of the rewind, and has the new values."""
        kwargs = self.init_kwargs(tmp_path)
        outcomes = [Outcome("failed", "ValueError: x"), Outcome("interrupted"), Outcome("preempted"), Outcome()]
        for part, outcome in enumerate(outcomes if self.tracker_class.continues else outcomes[:1]):
            tracker = self.tracker_class.for_run("digits", "first", tmp_path, dict(kwargs))
            tracker.start()
            tracker.store_init_configuration({"lr": 0.1})
            if part:
                tracker.rewind(2 * part)
            for step in (2 * part, 2 * part + 1):
                tracker.log({"loss": step / 4}, step=step)
            tracker.flush()
            kwargs |= tracker.identity()
            tracker.outcome = outcome
            tracker.finish()
        stored = self.read(tmp_path)
        assert stored.runs == 1
        last = 2 * len(outcomes) if self.tracker_class.continues else 2
        assert sorted(self.points(stored, "loss")) == [(step, step / 4) for step in range(last)]

    def test_a_checkpoint_is_stored_or_counted(self, tmp_path: Path) -> None:
        """The file may be gone when the call returns; a backend that keeps none counts it."""
        tracker = self.make(tmp_path)
        tracker.start()
        file = tmp_path / "weights.ckpt"
        for _ in range(2):
            file.write_bytes(b"weights")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", AccelTrackWarning)
                tracker.log_checkpoint("epoch=1-step=2", str(file), 2, {"monitor": "loss", "score": 0.5, "best": True})
            file.unlink()
        tracker.delete_checkpoint("epoch=1-step=2")
        tracker.log({"loss": 0.5}, step=0)
        tracker.finish()
        assert tracker.dropped["checkpoint"] in (0, 2)
        assert self.points(self.read(tmp_path), "loss") == [(0, 0.5)]
