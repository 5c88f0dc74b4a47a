"""Conformance: images and tables, for the trackers that have the methods."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from accel_track.errors import AccelTrackWarning
from accel_track.testing._backend import Backend


class MediaContract(Backend):
    """The contract of `log_images` and `log_table`."""

    @pytest.mark.parametrize(
        ("shape", "size"),
        [((8, 6), (8, 6)), ((8, 6, 3), (8, 6)), ((3, 8, 6), (8, 6)), ((1, 8, 6), (8, 6))],
        ids=["HW", "HWC", "CHW", "1HW"],
    )
    def test_images(self, tmp_path: Path, shape: tuple[int, ...], size: tuple[int, int]) -> None:
        """One image or a list of images, channels first or last, arrays or tensors, is stored as images."""
        if not hasattr(self.tracker_class, "log_images"):
            pytest.skip(f"{self.tracker_class.name} has no log_images")
        pixels = np.linspace(0, 1, math.prod(shape), dtype=np.float32).reshape(shape)
        tracker: Any = self.make(tmp_path)
        tracker.start()
        tracker.log_images({"single": pixels, "several": [pixels, torch.from_numpy(pixels)]}, step=0)
        tracker.log({"loss": 0.5}, step=0)
        tracker.finish()
        stored = self.read(tmp_path)
        assert stored.images["single"] == [size]
        assert stored.images["several"] == [size, size]

    def test_what_is_no_image_is_counted(self, tmp_path: Path) -> None:
        """An impossible image is counted and warned about, and the others of the call are stored."""
        if not hasattr(self.tracker_class, "log_images"):
            pytest.skip(f"{self.tracker_class.name} has no log_images")
        tracker: Any = self.make(tmp_path)
        tracker.start()
        values = {"odd": np.zeros((2, 3, 5)), "file": "no/such/file.png", "fine": np.ones((8, 6))}
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            tracker.log_images(values, step=0)
        tracker.log({"loss": 0.5}, step=0)
        tracker.finish()
        assert tracker.dropped == {"odd": 1, "file": 1}
        told = [str(one.message) for one in caught if one.category is AccelTrackWarning]
        assert len(told) == 2
        assert "no/such/file.png" in told[1]
        assert self.read(tmp_path).images == {"fine": [(8, 6)]}

    def test_tables(self, tmp_path: Path) -> None:
        """A table given as columns and rows, or as a data frame, is stored."""
        pandas = pytest.importorskip("pandas")
        if not hasattr(self.tracker_class, "log_table"):
            pytest.skip(f"{self.tracker_class.name} has no log_table")
        tracker: Any = self.make(tmp_path)
        tracker.start()
        tracker.log_table("rows", columns=["a", "b"], data=[[1, "x"], [2, "y"]], step=0)
        tracker.log_table("frame", dataframe=pandas.DataFrame({"a": [1, 2], "b": ["x", "y"]}), step=0)
        tracker.finish()
        stored = self.read(tmp_path).tables
        for name in ("rows", "frame"):
            assert [[str(cell) for cell in row] for row in stored[name]] == [["1", "x"], ["2", "y"]], name
