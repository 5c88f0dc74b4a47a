"""Conformance: hyperparameters."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from accel_track.errors import AccelTrackWarning
from accel_track.testing._backend import Backend, same
from accel_track.trackers.base import GeneralTracker


class ConfigurationContract(Backend):
    """The contract of `store_init_configuration` and `store_environment`."""

    def test_configuration(self, tmp_path: Path) -> None:
        """Nested, listed, empty and NumPy hyperparameters are stored, in one or several calls."""
        config = {
            "lr": 0.001,
            "epochs": np.int64(3),
            "name": "net",
            "nothing": None,
            "flag": True,
            "layers": [16, 32],
            "optimizer": {"kind": "adam", "betas": (0.9, 0.99)},
            "path": Path("data"),
        }
        tracker = self.make(tmp_path)
        tracker.start()
        tracker.store_init_configuration(dict(config))
        tracker.store_init_configuration({"later": 1})
        tracker.log({"loss": 0.5}, step=0)
        tracker.finish()
        stored = self.read(tmp_path).config
        nested = {"kind": "adam", "betas": [0.9, 0.99]}
        expected = {
            "lr": 0.001,
            "epochs": 3,
            "name": "net",
            "flag": True,
            "layers": [16, 32],
            "path": "data",
            "later": 1,
        }
        if self.tracker_class.keeps_nesting:
            assert stored["optimizer"] == nested
        else:
            expected |= {f"optimizer/{key}": value for key, value in nested.items()}
        for key, value in expected.items():
            assert same(stored[key], value), (key, stored[key])
        assert "nothing" in stored

    def test_environment(self, tmp_path: Path) -> None:
        """The environment is stored without loss of a hyperparameter, and without a warning."""
        tracker = self.make(tmp_path)
        tracker.start()
        tracker.store_init_configuration({"lr": 0.5})
        packages = "\n".join(f"package-{number}==1.0" for number in range(150))
        environment = {"python": "3.12", "git": {"dirty": False}, "packages": packages}
        with warnings.catch_warnings():
            warnings.simplefilter("error", AccelTrackWarning)
            tracker.store_environment({"environment": environment})
        tracker.log({"loss": 0.5}, step=0)
        tracker.finish()
        stored = self.read(tmp_path).config
        assert same(stored["lr"], 0.5)
        if type(tracker).store_environment is not GeneralTracker.store_environment:  # it has another place
            assert not any(name.startswith("environment") for name in stored)

    def test_long_hyperparameters(self, tmp_path: Path) -> None:
        """250 hyperparameters are stored, of 10,000 characters at least the beginning, and of integers every digit."""
        integers = {"seed": 2**64 - 1, "big": 2**100 + 1, "low": -(2**70), "huge": 10**400, "nested": {"a": [2**100]}}
        tracker = self.make(tmp_path)
        tracker.start()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AccelTrackWarning)
            tracker.store_init_configuration({f"p{i}": i for i in range(250)} | {"long": "x" * 10_000} | integers)
        tracker.log({"loss": 0.5}, step=0)
        tracker.finish()
        stored = self.read(tmp_path).config
        assert all(same(stored[f"p{i}"], i) for i in range(250))
        assert str(stored["long"]).startswith("x" * 100)
        assert str(2**100) in str(stored["nested"] if self.tracker_class.keeps_nesting else stored["nested/a"])
        for name in ("seed", "big", "low", "huge"):
            assert str(stored[name]) == str(integers[name])

    def test_the_callers_dictionaries_stay_as_they_were(self, tmp_path: Path) -> None:
        """Neither values nor configuration are changed."""
        values: dict[str, Any] = {"a": 1.0, "inner": {"b": np.float32(2)}, "text": "t"}
        config: dict[str, Any] = {"lr": 0.1, "inner": {"list": [1, 2]}, "long": "x" * 10_000}
        tracker = self.make(tmp_path)
        tracker.start()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AccelTrackWarning)
            tracker.store_init_configuration(config)
            tracker.log(values, step=0)
        tracker.finish()
        assert values == {"a": 1.0, "inner": {"b": np.float32(2)}, "text": "t"}
        assert type(values["inner"]["b"]) is np.float32
        assert config == {"lr": 0.1, "inner": {"list": [1, 2]}, "long": "x" * 10_000}
