"""Conformance: late delivery, through a journal or by another process."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest

from accel_track.accelerator.facade import Accelerator
from accel_track.errors import AccelTrackWarning
from accel_track.records import Metrics
from accel_track.registry import TrackerName
from accel_track.testing._backend import Backend, same

_PAST = 1_600_000_000.25
"""A time in September 2020."""


class DeliveryContract(Backend):
    """The contract of `log_batch`, `identity` and `record_time`."""

    def test_delivered_through_a_journal(self, tmp_path: Path) -> None:
        """A worker thread delivers all that was logged, in order, to one run."""
        name = self.tracker_class.name
        accelerator = Accelerator(log_with=TrackerName(name), project_dir=tmp_path, cpu=True, delivery="thread")
        with warnings.catch_warnings():
            warnings.simplefilter("error", AccelTrackWarning)
            kwargs = {name: self.init_kwargs(tmp_path)}
            accelerator.init_trackers("digits", config={"lr": 0.1}, init_kwargs=kwargs)
            for step in range(50):
                accelerator.log({"loss": 1 / (step + 1), "train": {"accuracy": step / 7}}, step=step)
            accelerator.end_training()
        stored = self.read(tmp_path)
        assert stored.runs == 1
        assert same(stored.config["lr"], 0.1)
        for key, expected in (
            ("loss", [1 / (s + 1) for s in range(50)]),
            ("train/accuracy", [s / 7 for s in range(50)]),
        ):
            points = self.points(stored, key)
            assert [step for step, _ in points] == list(range(50))
            assert all(self.close(value, wanted) for (_, value), wanted in zip(points, expected, strict=True)), points

    def test_a_batch_is_stored_whole_and_in_order(self, tmp_path: Path) -> None:
        """`log_batch` stores what as many calls of `log` would, and counts what they would drop."""
        tracker = self.make(tmp_path)
        tracker.start()
        records = [Metrics(step, _PAST + step, {"loss": step / 4, "thing": object()}, step) for step in range(5)]
        with pytest.warns(AccelTrackWarning, match="'thing'"):
            tracker.log_batch(records)
        tracker.flush()
        tracker.finish()
        assert self.points(self.read(tmp_path), "loss") == [(step, step / 4) for step in range(5)]
        assert tracker.dropped == {"thing": 5}
        assert tracker.record_time is None

    def test_a_batch_with_a_refused_call(self, tmp_path: Path) -> None:
        """A batch that holds a call which the SDK refuses stores nothing; its other calls are then stored once."""
        if not self.tracker_class.checks_arguments:
            pytest.skip("it refuses no arguments")
        tracker = self.make(tmp_path)
        tracker.start()
        batch = [
            Metrics(i, _PAST + i, {"m": float(i)}, i, {tracker.name: {"no_such": 1}} if i == 7 else {})
            for i in range(20)
        ]
        for part in (batch, batch[7:8]) if tracker.batch_size > 1 else (batch[7:8],):
            with pytest.raises(TypeError):
                tracker.log_batch(part)
        tracker.log_batch(batch[:7])
        tracker.log_batch(batch[8:])
        tracker.flush()
        tracker.finish()
        assert self.points(self.read(tmp_path), "m") == [(i, float(i)) for i in range(20) if i != 7]
        assert not tracker.dropped

    def test_only_the_refused_call_is_set_aside(self, tmp_path: Path) -> None:
        """A worker that meets a refused call among many delivers the others once and in order."""
        if not self.tracker_class.checks_arguments:
            pytest.skip("it refuses no arguments")
        name = self.tracker_class.name
        accelerator = Accelerator(log_with=TrackerName(name), project_dir=tmp_path, cpu=True, delivery="thread")
        accelerator.init_trackers("digits", init_kwargs={name: self.init_kwargs(tmp_path)})
        with pytest.warns(AccelTrackWarning, match="quarantined"):
            for step in range(300):
                accelerator.log({"m": step / 4}, step=step, log_kwargs={name: {"no_such": 1}} if step == 77 else {})
            accelerator.end_training()
        assert self.points(self.read(tmp_path), "m") == [(step, step / 4) for step in range(300) if step != 77]

    def test_identity_continues_the_run(self, tmp_path: Path) -> None:
        """A second tracker, given what `identity` returned, adds to the run's values and hyperparameters."""
        if not self.tracker_class.continues:
            pytest.skip(f"{self.tracker_class.name} continues no run")
        kwargs = self.init_kwargs(tmp_path)
        configs: list[dict[str, Any]] = [{"lr": 0.1}, {"epochs": 3}]
        for step, config in enumerate(configs):
            tracker = self.tracker_class.for_run("digits", "first", tmp_path, dict(kwargs))
            tracker.start()
            tracker.store_init_configuration(dict(config))
            tracker.log({"loss": step / 4}, step=step)
            tracker.flush()
            identity = tracker.identity()
            tracker.finish()
            assert json.loads(json.dumps(identity)) == identity
            kwargs |= identity
        stored = self.read(tmp_path)
        assert stored.runs == 1
        assert self.points(stored, "loss") == [(0, 0.0), (1, 0.25)]
        assert same(stored.config["lr"], 0.1)
        assert same(stored.config["epochs"], 3)

    def test_the_time_of_the_call_is_kept(self, tmp_path: Path) -> None:
        """Values have the time at which they were logged, not that of their delivery."""
        if not self.tracker_class.keeps_time:
            pytest.skip(f"{self.tracker_class.name} takes no time from outside")
        tracker = self.make(tmp_path)
        tracker.start()
        tracker.log_batch([Metrics(0, _PAST, {"loss": 0.5}, 0)])
        tracker.log_batch([Metrics(1, _PAST + 60, {"loss": 0.25}, 1)])
        tracker.finish()
        times = self.read(tmp_path).times[self.stored_name("loss")]
        assert times == [pytest.approx(_PAST, abs=0.01), pytest.approx(_PAST + 60, abs=0.01)]
