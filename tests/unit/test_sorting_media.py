"""What the engine under trackers makes of media: lists, an SDK's own objects, other ways, taken names, second tries."""

import errno
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pil

from accel_track.errors import AccelTrackWarning
from accel_track.media import Image, Medium, Table, Text
from accel_track.media.fallbacks import stored
from accel_track.media.ways import Way, by, native, none
from accel_track.records import Metrics
from accel_track.trackers.rows import Row
from accel_track.trackers.sdk import SDKTracker

_DARK, _LIGHT = np.zeros((2, 2), np.uint8), np.full((3, 3), 255, np.uint8)


class ShowingTracker(SDKTracker):
    """Takes images, two under one name, and tables as texts; fails where it is told to."""

    name = "showing"
    requires_logging_directory = False
    sdk = "types"
    install = "nothing"
    lists = frozenset(("image",))
    most = 2
    media = {"image": native(""), "table": by("text", ""), "text": native(""), "html": none("it shows no pages")}  # noqa: RUF012
    fails = False
    made_texts = 0

    def open(self, sdk: Any) -> Any:
        return sdk.SimpleNamespace(values={})

    def takes_object(self, value: Any) -> bool:
        return isinstance(value, list)

    def way(self, medium: Medium) -> Way | None:
        return none("it is too light") if medium.kind == "image" and self._is_light(medium) else super().way(medium)

    @staticmethod
    def _is_light(medium: Medium) -> bool:
        return medium.path is not None and medium.path.is_file() and bool(medium.array().any())  # type: ignore[attr-defined]

    def make_image(self, image: Image, row: Row) -> Any:
        return image.array().shape

    def make_text(self, text: Text, row: Row) -> Any:
        return self.made(text, lambda: self._text(text.text))

    def _text(self, text: str) -> str:
        self.made_texts += 1
        return text

    def write_row(self, row: Row) -> None:
        if self.fails:
            raise ConnectionError
        self.native.values.update(row.values)


@pytest.fixture
def tracker() -> ShowingTracker:
    tracker = ShowingTracker()
    tracker.start()
    return tracker


def test_more_than_a_name_takes(tracker: ShowingTracker) -> None:
    """The further parts have names of their own."""
    tracker.log_images({"a": [_DARK] * 5, "b": [_DARK], "c": _DARK})
    one = (2, 2, 1)
    assert tracker.native.values == {"a": [one, one], "a/2": [one, one], "a/4": [one], "b": [one], "c": one}
    tracker.finish()


def test_the_sdks_own_objects(tracker: ShowingTracker) -> None:
    """They go to it as they are, alone and among others."""
    own = SimpleNamespace()
    tracker.log_images({"a": own, "b": (own, _DARK)})
    assert tracker.native.values == {"a": own, "b": [own, (2, 2, 1)]}
    tracker.finish()


def test_media_of_a_list_that_go_different_ways(tracker: ShowingTracker) -> None:
    """Each has a name of its own."""
    with pytest.warns(AccelTrackWarning, match="'a/1': it is too light"):
        tracker.log_images({"a": [_DARK, _LIGHT]})
    assert tracker.native.values == {"a/0": (2, 2, 1)}
    assert tracker.dropped == {"a/1": 1}
    tracker.finish()


def test_a_name_that_is_taken(tracker: ShowingTracker) -> None:
    """The call's own value of a name stays, and the medium is counted."""
    with pytest.warns(AccelTrackWarning, match="'t/1': the call has another value of this name"):
        tracker.log({"t": [Text("x"), Text("y")], "t/1": 1.0})
    assert tracker.native.values == {"t/0": "x", "t/1": 1.0}
    tracker.finish()


def test_what_cannot_be_read(tracker: ShowingTracker) -> None:
    """Media that are given to `log` itself are stored first; what that finds wrong is counted, by its name."""
    given = {"bad": Image(np.zeros((2, 2, 9))), "mixed": [Text("x"), Image(_DARK)], "good": Text("z")}
    with pytest.warns(
        AccelTrackWarning, match=r"'(bad|mixed)': (an image has 1, 3 or 4 channels|media of several kinds)"
    ):
        tracker.log(given)
    assert tracker.native.values == {"good": "z"}
    assert tracker.dropped == {"bad": 1, "mixed": 1}
    tracker.finish()


def test_one_of_a_list_that_cannot_be_read_costs_the_others_nothing(tracker: ShowingTracker, tmp_path: Path) -> None:
    """The file of an image is taken by its first bytes: what is behind them is read when the SDK's object is made."""
    torn = tmp_path / "torn.png"
    Pil.fromarray(np.zeros((50, 50), np.uint8)).save(torn)
    torn.write_bytes(torn.read_bytes()[:60])
    tracker._is_light = lambda _: False  # type: ignore[method-assign]
    with pytest.warns(AccelTrackWarning, match="the file of the image is damaged"):
        tracker.log({"a": [Image(_DARK), Image(torn), Image(_DARK)], "b": [Image(torn)], "loss": 0.5})
    assert tracker.native.values == {"a": [(2, 2, 1), (2, 2, 1)], "loss": 0.5}
    assert tracker.dropped == {"a": 1, "b": 1}
    tracker.finish()


def test_a_disk_that_is_full_while_a_medium_is_made(
    tracker: ShowingTracker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is no fault of the medium's: nothing is counted as dropped, and the record can be delivered again."""

    def full(*_: Any) -> Medium:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    batch = [Metrics(0, 1.7e9, {"table": stored(Table([[1]], ["n"]), tmp_path), "loss": 0.5}, 0)]
    with monkeypatch.context() as patch:
        patch.setattr("accel_track.trackers.media.converted", full)
        with pytest.raises(OSError, match="No space left"):
            tracker.log_batch(batch)
    assert not tracker.dropped
    tracker.log_batch(batch)
    assert tracker.native.values["loss"] == 0.5
    assert "table" in tracker.native.values
    tracker.finish()


def test_a_call_that_comes_again(tracker: ShowingTracker, tmp_path: Path) -> None:
    """Its media are made once, also those that become another kind first; another run makes them anew."""
    values = {"text": stored(Text("x"), tmp_path), "table": stored(Table([[1]], ["n"]), tmp_path)}
    batch = [Metrics(0, 1.7e9, values, 0)]
    tracker.fails = True
    with pytest.raises(ConnectionError):
        tracker.log_batch(batch)
    tracker.fails = False
    tracker.log_batch(batch)
    assert tracker.native.values == {"text": "x", "table": "| n |\n| --- |\n| 1 |"}
    tracker.finish()
    assert tracker.made_texts == 2
    tracker.start()
    tracker.log_batch(batch)
    tracker.finish()
    assert tracker.made_texts == 4
