"""Conformance: metrics, texts, and values that a backend cannot take."""

from __future__ import annotations

import math
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from accel_track.errors import AccelTrackWarning
from accel_track.testing._backend import Backend


class ValuesContract(Backend):
    """The contract of `log`."""

    def test_metrics_are_stored_with_their_steps(self, tmp_path: Path) -> None:
        """Every value of every step arrives, in order."""
        steps = range(5)
        calls = [({"loss": 1 / (step + 1), "train/accuracy": step / 7}, step) for step in steps]
        tracker, stored = self.written(tmp_path, *calls)
        for name, expected in (("loss", [1 / (s + 1) for s in steps]), ("train/accuracy", [s / 7 for s in steps])):
            points = self.points(stored, name)
            assert [step for step, _ in points] == list(steps)
            assert all(self.close(value, wanted) for (_, value), wanted in zip(points, expected, strict=True)), points
        assert not tracker.dropped

    def test_scalars_of_every_kind(self, tmp_path: Path) -> None:
        """NumPy scalars, 0-d arrays and tensors, bfloat16 too, are stored as numbers."""
        values = {
            "int": 3,
            "bool": True,
            "float32": np.float32(0.5),
            "float64": np.float64(0.25),
            "int64": np.int64(7),
            "array": np.array(1.5),
            "tensor": torch.tensor(2.5, requires_grad=True),
            "bfloat16": torch.tensor(0.75, dtype=torch.bfloat16),
            "one_element": torch.tensor([4.5]),
        }
        tracker, stored = self.written(tmp_path, (values, 0))
        assert not tracker.dropped
        for name, value in values.items():
            assert [v for _, v in self.points(stored, name)] == [value.item() if hasattr(value, "item") else value], (
                name
            )

    def test_nan_and_infinities(self, tmp_path: Path) -> None:
        """A number that is not finite is stored, or counted; never silently turned into another number."""
        values = {"nan": math.nan, "plus": math.inf, "minus": -math.inf}
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            tracker, stored = self.written(tmp_path, ({**values, "fine": 1.0}, 0))
        assert [v for _, v in self.points(stored, "fine")] == [1.0]
        takes_nan, takes_inf = self.tracker_class.takes_nan, self.tracker_class.takes_inf
        refused = {name for name, value in values.items() if not (takes_inf if math.isinf(value) else takes_nan)}
        assert set(tracker.dropped) == refused
        assert len([one for one in caught if one.category is AccelTrackWarning]) == len(refused)
        assert not {self.stored_name(name) for name in refused} & set(stored.metrics)
        for name in values.keys() - refused:
            assert self.close(self.points(stored, name)[0][1], values[name]), name

    def test_integers_beyond_64_bits(self, tmp_path: Path) -> None:
        """Such integers are stored as numbers, or counted; the other values of the call arrive."""
        values = {"big": 2**100, "low": -(2**70), "huge": 10**400}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AccelTrackWarning)
            tracker, stored = self.written(tmp_path, ({**values, "fine": 1.0}, 0), ({"fine": 2.0}, 1))
        assert self.points(stored, "fine") == [(0, 1.0), (1, 2.0)]
        for name, value in values.items():
            points = stored.metrics.get(self.stored_name(name), [])
            assert tracker.dropped[name] == (0 if points else 1)
            assert all(self.close(point, float(value)) for _, point in points)

    def test_nested_values_are_flattened(self, tmp_path: Path) -> None:
        """Nested dictionaries of numbers are stored under joined names."""
        _, stored = self.written(tmp_path, ({"val": {"loss": 0.5, "per_class": {"cat": 0.25}}}, 2))
        assert self.points(stored, "val/loss") == [(2, 0.5)]
        assert self.points(stored, "val/per_class/cat") == [(2, 0.25)]

    def test_text(self, tmp_path: Path) -> None:
        """A string is stored as text, or counted and warned about; numbers beside it arrive either way."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            tracker, stored = self.written(tmp_path, ({"answer": "forty-two", "loss": 0.5}, 0))
        assert self.points(stored, "loss") == [(0, 0.5)]
        if self.tracker_class.takes_text:
            assert stored.texts["answer"] == ["forty-two"]
        else:
            assert tracker.dropped == {"answer": 1}
            assert any("'answer'" in str(one.message) for one in caught)

    def test_values_of_no_use_are_counted_once_warned(self, tmp_path: Path) -> None:
        """An impossible value is counted each time, warned about once, and harms nothing else."""
        tracker = self.make(tmp_path)
        tracker.start()
        with pytest.warns(AccelTrackWarning, match="dropped") as caught:
            for step in range(3):
                unreadable = torch.empty((), device="meta")
                tracker.log({"thing": object(), "loss": 0.5, "meta": unreadable, "in": {"meta": unreadable}}, step=step)
        tracker.finish()
        assert tracker.dropped == {"thing": 3, "meta": 3, "in/meta": 3}
        for name in ("'thing'", "'meta'", "'in/meta'"):
            assert len([one for one in caught if f"dropped {name}" in str(one.message)]) == 1
        assert [step for step, _ in self.points(self.read(tmp_path), "loss")] == [0, 1, 2]

    def test_awkward_names(self, tmp_path: Path) -> None:
        """Names outside a backend's alphabet are stored under a name that it can take, never lost or mixed."""
        names = ["acc@1", "acc#1", "loss [%]", "größe", "a.b-c_d e", "m", "m/0", "../up", "x" * 300]
        tracker, stored = self.written(
            tmp_path, *[({name: float(i) for i, name in enumerate(names)}, s) for s in (0, 1)]
        )
        series = {tuple(points) for points in stored.metrics.values()}
        for index, name in enumerate(names):
            assert ((0, float(index)), (1, float(index))) in series, f"{name!r} is not in {stored.metrics}"
        assert not tracker.dropped

    def test_no_step(self, tmp_path: Path) -> None:
        """Values without a step arrive."""
        _, stored = self.written(tmp_path, ({"loss": 0.5}, None))
        assert [value for _, value in self.points(stored, "loss")] == [0.5]

    def test_interleaved_steps(self, tmp_path: Path) -> None:
        """Nothing is lost where evaluations count on their own, between the steps of a Trainer's training."""
        order = [("loss", 1), ("loss", 3), ("batch_loss", 0), ("batch_loss", 1), ("epoch_loss", 3), ("late", 3)]
        order += [("loss", 5), ("loss", 7), ("batch_loss", 2), ("batch_loss", 3), ("late", 7)]
        tracker = self.make(tmp_path)
        tracker.start()
        for number, (name, step) in enumerate(order):
            tracker.log({name: number / 4}, step=step)
        tracker.finish()
        stored = self.read(tmp_path)
        for name in {name for name, _ in order}:
            expected = [(step, number / 4) for number, (one, step) in enumerate(order) if one == name]
            assert self.points(stored, name) == expected
        assert not tracker.dropped
