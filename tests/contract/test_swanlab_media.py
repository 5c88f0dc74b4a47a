"""The media of SwanLab offline: what SwanLab's thread would lose or mix up arrives, or is counted."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import swanlab

from accel_track import media
from accel_track.errors import AccelTrackWarning
from accel_track.media.encoding import gif
from accel_track.media.fallbacks import stored
from accel_track.media.sound import wav
from accel_track.records import Metrics
from accel_track.testing import Columns
from accel_track.trackers.swanlab.tracker import SwanLabTracker
from tests.support.readers.swanlab import SwanLabBackend

_PIXELS = np.random.default_rng(0).integers(0, 256, (4, 3, 3), np.uint8)
_MOVING = np.stack([_PIXELS, 255 - _PIXELS])
_ODD = ["../up", "/etc/up", "a//b", "n\0l", "n_l", "x" * 600, "x" * 601, "", "__swanlab__.a", "a/b", "up", "."]


class TestSwanLabMedia(SwanLabBackend):
    @pytest.fixture
    def tracker(self, tmp_path: Path) -> SwanLabTracker:
        tracker = self.make(tmp_path / "run")
        tracker.start()
        return tracker

    def found(self, tracker: SwanLabTracker, folder: Path) -> dict[str, list[Any]]:
        """Finish the tracker, and return what was stored."""
        tracker.finish()
        return self.read(folder / "run").media

    def test_more_images_than_a_chart_holds(self, tracker: SwanLabTracker, tmp_path: Path) -> None:
        """SwanLab keeps 108 of a list; the others have names of their own. Of its own objects they are counted."""
        tracker.log_images({"many": [np.full((2, 2), shade, np.uint8) for shade in range(120)]}, step=1)
        with pytest.warns(AccelTrackWarning, match="'own'.*108 objects"):
            tracker.log({"own": [swanlab.Image(np.full((2, 2), shade, np.uint8)) for shade in range(110)]}, step=1)
        found = self.found(tracker, tmp_path)
        assert {name: len(seen) for name, seen in found.items()} == {"many": 108, "many/108": 12, "own": 108}
        assert [int(one.what[0, 0, 0]) for one in found["many"] + found["many/108"]] == list(range(120))
        assert tracker.dropped == {"own": 2}

    @pytest.mark.long
    def test_what_is_larger_than_swanlab_keeps(self, tracker: SwanLabTracker, tmp_path: Path) -> None:
        """It is saved as a file, also of a list; SwanLab's own object is counted."""
        large = np.random.default_rng(1).integers(0, 256, (1950, 1900, 3), np.uint8)
        tracker.log_images({"large": large, "list": [_PIXELS, large]}, step=7)
        tracker.log_table("table", ["a"], [["x" * 11_000_000]], step=7)
        with pytest.warns(AccelTrackWarning, match="'own'.*10 MiB"):
            tracker.log({"own": swanlab.Image(large)}, step=7)
        found = self.found(tracker, tmp_path)
        assert [name.partition("-")[0] for name in found] == ["large", "list_0", "list_1", "table"]
        assert [len(seen) for seen in found.values()] == [1, 1, 1, 1]
        assert all(isinstance(seen[0].what, bytes) for seen in found.values())
        assert found["table"][0].what.startswith(b"a\nxxx")
        assert tracker.dropped == {"own": 1}

    def test_arguments_of_images(self, tracker: SwanLabTracker, tmp_path: Path) -> None:
        """They go to `swanlab.Image`; without images, and unknown ones, they are refused as `Run.log` does."""
        rgba = np.dstack([_PIXELS, np.full((4, 3), 9, np.uint8)])
        tracker.log_images({"a": [_PIXELS, rgba]}, step=1, file_type="jpg", caption="c", captions=["own"])
        tracker.log_images({"b": np.zeros((8, 6))}, step=1, size=4)
        for values, kwargs in (({"m": 1.0}, {"file_type": "jpg"}), ({"m": 1.0}, {"nonsense": 1})):
            with pytest.raises(TypeError, match=next(iter(kwargs))):
                tracker.log(values, step=1, **kwargs)
        with pytest.raises(TypeError, match="nonsense"):
            tracker.log_images({"c": _PIXELS}, step=1, nonsense=1)
        with pytest.warns(AccelTrackWarning, match="file_type"):
            tracker.log_images({"d": _PIXELS}, step=1, file_type="tiff")
        found = self.found(tracker, tmp_path)
        assert [one.caption for one in found["a"]] == ["own", "c"]
        assert {path.suffix for path in tmp_path.rglob("001-*.jpg")} == {".jpg"}
        assert found["b"][0].what.shape[:2] == (4, 3)
        assert set(found) == {"a", "b"}

    def test_files_that_swanlab_refuses(self, tracker: SwanLabTracker, tmp_path: Path) -> None:
        """A GIF is no image there, and other videos and sounds are none; those are saved as they are."""
        (tmp_path / "moving.gif").write_bytes(gif(_MOVING, 5))
        for name in ("a.mp4", "a.mp3"):
            (tmp_path / name).write_bytes(name.encode())
        tracker.log_images({"gif": tmp_path / "moving.gif"}, step=1)
        tracker.log_images({"gif": _PIXELS}, step=2)
        tracker.log_video({"mp4": tmp_path / "a.mp4"}, step=1)
        tracker.log_audio({"mp3": tmp_path / "a.mp3", "wav": np.zeros(8)}, step=1, sample_rate=8000, captions="c")
        tracker.log_images({"mixed": [tmp_path / "moving.gif", _PIXELS]}, step=1)
        with pytest.warns(AccelTrackWarning, match="'own'.*takes no list"):
            tracker.log({"own": [swanlab.Image(_PIXELS), swanlab.Video(str(tmp_path / "moving.gif"))]}, step=1)
        found = self.found(tracker, tmp_path)
        assert [one.what.shape for one in found["gif"]] == [(2, 4, 3, 3), (4, 3, 3)]
        assert (found["mp4"][0].what, found["mp3"][0].what) == (b"a.mp4", b"a.mp3")
        assert (found["wav"][0].what, found["wav"][0].caption) == (wav(np.zeros(8), 8000), "c")
        assert [found[f"mixed/{place}"][0].what.shape for place in (0, 1)] == [(2, 4, 3, 3), (4, 3, 3)]
        assert tracker.dropped == {"own": 1}

    def test_tables_that_swanlab_mixes_up(self, tracker: SwanLabTracker, tmp_path: Path) -> None:
        """Columns of one name stay apart; numbers that JSON does not have are texts."""
        tracker.log_table("t", ["a", "a", "b"], [[1, "", None], ["y", 2.5, float("nan")]], step=1)
        tracker.log_table("none", ["a"], [], step=1)
        found = self.found(tracker, tmp_path)
        assert found["t"][0].what == Columns(["a", "a (2)", "b"], [[1, "", None], ["y", 2.5, "nan"]])
        assert found["none"][0].what == Columns(["a"], [])

    def test_pages(self, tracker: SwanLabTracker, tmp_path: Path) -> None:
        """A text that names a file is a text; figures of Plotly's are pages."""
        page = tmp_path / "page.html"
        page.write_text("another")
        path = tmp_path / f"{'0' * 64}.plotly.json"
        path.write_text(json.dumps({"data": [{"y": [1, 2]}], "layout": {}}))
        tracker.log_html({"text": str(page)}, step=1)
        tracker.log({"figure": media.Figure.of_stored({}, path)}, step=1)
        found = self.found(tracker, tmp_path)
        assert found["text"][0].what == str(page)
        assert '"y": [1, 2]' in found["figure"][0].what

    def test_a_second_one_of_a_step(self, tracker: SwanLabTracker, tmp_path: Path) -> None:
        """SwanLab keeps the first, and one kind for a name: others are counted."""
        tracker.log_images({"a": _PIXELS}, step=1)
        with pytest.warns(AccelTrackWarning, match="'a'.*first value of a step"):
            tracker.log_images({"a": 255 - _PIXELS}, step=1)
        tracker.log_text({"a": "t"}, step=2)
        found = self.found(tracker, tmp_path)
        assert len(found["a"]) == 1
        assert np.array_equal(found["a"][0].what, _PIXELS)
        assert tracker.dropped == {"a": 2}

    def test_odd_names(self, tracker: SwanLabTracker, tmp_path: Path) -> None:
        """Images, artifacts and files of any name are stored, each apart, in the run's folder."""
        (tmp_path / "a.mp4").write_bytes(b"1")
        for number, name in enumerate(_ODD):
            tracker.log_images({name: np.full((2, 2), number, np.uint8)}, step=1)
            tracker.log_video({f"{name}/v": tmp_path / "a.mp4"}, step=1)
            tracker.log_artifact(tmp_path / "a.mp4", f"{name}\t")
        found = [one.what for seen in self.found(tracker, tmp_path).values() for one in seen]
        shades = [int(what[0, 0, 0]) for what in found if isinstance(what, np.ndarray)]
        assert sorted(shades) == list(range(len(_ODD)))
        assert sum(isinstance(what, dict) for what in found) == len(_ODD)
        assert sum(isinstance(what, bytes) for what in found) == len(_ODD)
        assert not tracker.dropped
        assert {one.name for one in tmp_path.iterdir()} == {"a.mp4", "cwd", "run"}
        assert not list((tmp_path / "cwd").iterdir())

    def test_artifacts(self, tracker: SwanLabTracker, tmp_path: Path) -> None:
        """Copies with what is known of them; one of the same name is another version, also where its files are gone."""
        folder = tmp_path / "given" / "inner"
        folder.mkdir(parents=True)
        (folder / "a").write_bytes(b"1")
        (folder / "artifact.json").write_bytes(b"2")
        tracker.log_artifact(folder.parent, "data", type="dataset", metadata={"rows": 2})
        tracker.log_model(folder / "a")
        (folder / "a").unlink()
        tracker.log_artifact(folder.parent, "data", step=4)
        files = tracker.tracker.dir / "files" / "artifacts"
        found = self.found(tracker, tmp_path)
        assert [one.what for one in found["data"]] == [
            {"inner/a": b"1", "inner/artifact.json": b"2"},
            {"inner/artifact.json": b"2"},
        ]
        assert [one.what for one in found["model"]] == [{"a": b"1"}]
        known = [json.loads(path.read_text()) for path in sorted(files.glob("data/*/artifact.json"))]
        assert [(one["name"], one["type"], one["step"], one["metadata"]) for one in known] == [
            ("data", "dataset", None, {"rows": 2}),
            ("data", "artifact", 4, None),
        ]

    def test_what_is_stored_of_a_batch_that_fails(
        self, tracker: SwanLabTracker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A file is saved, and the run's queue takes no more: given again, each is there once."""
        (tmp_path / "a.mp4").write_bytes(b"1")
        whole = {
            "i": stored(media.Image(_PIXELS), tracker.passing.folder),
            "v": stored(media.Video(tmp_path / "a.mp4"), tracker.passing.folder),
        }
        batch = [Metrics(0, 1.7e9, {**whole, "m": 1.0}, 0), Metrics(1, 1.7e9, {**whole, "m": 2.0}, 1)]
        write_row, calls = tracker.write_row, []

        def failing(row: Any) -> None:
            calls.append(row.step)
            if len(calls) == 2:
                raise ConnectionError
            write_row(row)

        monkeypatch.setattr(tracker, "write_row", failing)
        with pytest.raises(ConnectionError):
            tracker.log_batch(batch)
        tracker.log_batch(batch)
        tracker.finish()
        back = self.read(tmp_path / "run")
        assert calls == [0, 1, 1]
        assert back.metrics["m"] == [(0, 1.0), (1, 2.0)]
        assert back.times["m"] == [1.7e9, 1.7e9]
        assert {name: len(seen) for name, seen in back.media.items()} == {"i": 2, "v": 2}
        assert not tracker.dropped
