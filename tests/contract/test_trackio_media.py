"""The media of Trackio's local store: what Trackio itself would lose or mix up arrives, or is counted."""

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from trackio.utils import MEDIA_DIR, TRACKIO_DIR

from accel_track import media
from accel_track.errors import AccelTrackWarning
from accel_track.media.encoding import gif
from accel_track.media.fallbacks import stored
from accel_track.records import Metrics
from accel_track.testing import Columns
from accel_track.trackers.trackio import media as trackio_media
from accel_track.trackers.trackio.tracker import TrackioTracker
from tests.support.readers.trackio import TrackioBackend, select

_PIXELS = np.random.default_rng(0).integers(0, 256, (4, 3, 3), np.uint8)
_ODD = ["../up", "/etc/up", "a//b", "n\0l", "n_l", "x" * 300, "", "step", "__step", "a/b", "caf\udce9", "plain"]


class TestTrackioMedia(TrackioBackend):
    @pytest.fixture
    def tracker(self) -> TrackioTracker:
        tracker = TrackioTracker("contract", auto_log_cpu=False)
        tracker.start()
        return tracker

    def found(self, tracker: TrackioTracker, folder: Path) -> dict[str, list[Any]]:
        """Finish the tracker, and return what was stored."""
        tracker.finish()
        return self.read(folder).media

    def test_several_images(self, tracker: TrackioTracker, tmp_path: Path) -> None:
        """Trackio leaves lists out; each has a name of its own, and its caption. A GIF still moves."""
        (tmp_path / "moving.gif").write_bytes(gif(np.stack([_PIXELS, 255 - _PIXELS]), 5))
        tracker.log_images({"some": [_PIXELS, tmp_path / "moving.gif"]}, step=1, captions=["one", "two"])
        found = self.found(tracker, tmp_path)
        assert [found[f"some/{place}"][0].caption for place in (0, 1)] == ["one", "two"]
        assert np.array_equal(found["some/0"][0].what, _PIXELS)
        assert found["some/1"][0].what.shape == (2, 4, 3, 3)

    def test_tables_that_trackio_mixes_up(self, tracker: TrackioTracker, tmp_path: Path) -> None:
        """Rows are dictionaries there, of what JSON holds: columns of one name stay apart, long integers are texts."""
        tracker.log_table("t", ["a", "a", "b"], [[1, "x", None], ["caf\udce9", 2.5, 2**70]], step=1)
        found = self.found(tracker, tmp_path)
        assert found["t"][0].what == Columns(["a", "a (2)", "b"], [[1, "x", None], ["caf\\udce9", 2.5, str(2**70)]])
        assert not tracker.dropped

    def test_pages(self, tracker: TrackioTracker, tmp_path: Path) -> None:
        """A text that names a file is a text; figures of Plotly's are pages from which nothing breaks out."""
        page = tmp_path / "page.html"
        page.write_text("another")
        figure = {"data": [{"y": [1, 2]}], "layout": {"title": {"text": "</script><!--ü"}}}
        path = tmp_path / f"{'0' * 64}.plotly.json"
        path.write_text(json.dumps(figure))
        tracker.log_html({"text": str(page)}, step=1)
        tracker.log({"figure": media.Figure.of_stored({"caption": "c"}, path)}, step=1)
        found = self.found(tracker, tmp_path)
        assert found["text"][0].what == str(page)
        shown, caption = found["figure"][0].what, found["figure"][0].caption
        assert caption == "c"
        assert shown.count("</script>") == 2
        assert "<!--" not in shown
        assert '"y": [1, 2]' in shown

    def test_points(self, tracker: TrackioTracker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Colours are rounded; a category that Trackio does not know is counted; too many points are kept in a file."""
        monkeypatch.setattr(trackio_media, "_POINTS", 2)
        colours = np.array([[0.5, 1, 2, 10.4, 300, -1]])
        with pytest.warns(AccelTrackWarning, match=r"'odd'.*\[1, 14\]"):
            tracker.log_points({"colours": colours, "odd": np.array([[0, 0, 0, 15]]), "many": np.ones((3, 3))}, step=1)
        found = self.found(tracker, tmp_path)
        assert found["colours"][0].what.tolist() == [[0.5, 1, 2, 10, 255, 0]]
        assert tracker.dropped == {"odd": 1}
        (name,) = set(found) - {"colours"}
        assert name.startswith("many-")
        ((file, data),) = found[name][0].what.items()
        assert (file, data[:6]) == ("many.npy", b"\x93NUMPY")

    def test_odd_names(self, tracker: TrackioTracker, tmp_path: Path) -> None:
        """Images and files of any name are stored, each apart, below Trackio's folder."""
        (tmp_path / "f").write_bytes(b"1")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("warnings.warn", lambda *_, **__: None)  # Trackio tells which names it keeps for itself
            for number, name in enumerate(_ODD):
                tracker.log_images({name: np.full((2, 2), number, np.uint8)}, step=number)
                tracker.log_artifact(tmp_path / "f", name)
        before = set(tmp_path.rglob("*"))
        found = [one.what for seen in self.found(tracker, tmp_path).values() for one in seen]
        shades = [int(what[0, 0, 0]) for what in found if isinstance(what, np.ndarray)]
        assert sorted(shades) == list(range(len(_ODD)))
        assert sum(isinstance(what, dict) for what in found) == len(_ODD)
        assert not tracker.dropped
        assert before == set(tmp_path.rglob("*"))

    @pytest.mark.long
    def test_what_is_stored_of_a_batch_that_fails(
        self, tracker: TrackioTracker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Another process keeps the database when the files are stored: given again, files and rows are there once."""
        whole = {
            "i": stored(media.Image(_PIXELS), tracker.passing.folder),
            "h": stored(media.Html("<p>"), tracker.passing.folder),
            "p": stored(media.Points3D(np.ones((2, 3))), tracker.passing.folder),
        }
        batch = [Metrics(0, 1.7e9, {"m": 1.0}, 0), Metrics(1, 1.7e9, {**whole, "m": 2.0}, 1)]
        tracker.log_batch(batch[:1])
        with closing(sqlite3.connect(TRACKIO_DIR / "contract.db", isolation_level=None)) as other:
            other.execute("begin exclusive")
            monkeypatch.setattr("trackio.sqlite_storage.SQLITE_TIMEOUT", 0.1, raising=False)
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                tracker.log_batch(batch)
            other.execute("rollback")
        tracker.log_batch(batch)
        name = tracker.tracker.name
        found = self.found(tracker, tmp_path)
        assert {key: len(seen) for key, seen in found.items()} == dict.fromkeys("ihp", 1)
        assert [row["m"] for row in self.rows()] == [1.0, 2.0]
        assert len([one for one in (MEDIA_DIR / "contract" / name).rglob("*") if one.is_file()]) == 3
        assert not tracker.dropped

    @pytest.mark.parametrize("direct", [True, False])
    def test_a_file_that_cannot_be_stored(self, tracker: TrackioTracker, tmp_path: Path, direct: bool) -> None:
        """Trackio warns and leaves it out; it is counted, and the row's numbers arrive."""
        place = MEDIA_DIR / "contract" / tracker.tracker.name / "1"
        place.parent.mkdir(parents=True)
        place.write_text("no folder")
        whole = stored(media.Image(_PIXELS), tracker.passing.folder)
        with pytest.warns(UserWarning, match="'i'"):
            if direct:
                tracker.log({"i": whole, "m": 1.0}, step=1)
            else:
                tracker.log_batch([Metrics(0, 1.7e9, {"i": whole, "m": 1.0}, 1)])
        tracker.finish()
        assert tracker.dropped == {"i": 1}
        assert self.rows() == [{"m": 1.0}]

    def test_artifacts(self, tracker: TrackioTracker, tmp_path: Path) -> None:
        """Versions of a name, with type and metadata; equal contents are one version; names stay apart."""
        folder = tmp_path / "given" / "inner"
        folder.mkdir(parents=True)
        file = folder / "ü.bin"
        for content in (b"1", b"1", b"2"):
            file.write_bytes(content)
            tracker.log_artifact(file, "data/x", type="dataset", metadata={"big": 2**70}, step=3)
        (folder / "link").symlink_to(file)
        tracker.log_artifact(folder.parent, "data_x")
        tracker.log_model(file)
        tracker.log({"m": 1.0})
        run = tracker.tracker.id
        found = self.found(tracker, tmp_path)
        ours = [name for name in found if name.startswith("data_x-")]
        assert [one.what for one in found[ours[0]]] == [{"ü.bin": b"1"}, {"ü.bin": b"2"}]
        assert [one.what for one in found["data_x"]] == [{"inner/ü.bin": b"2", "inner/link": b"2"}]
        assert [one.what for one in found["model"]] == [{"ü.bin": b"2"}]
        kept = select(
            "select type, metadata, producer_run_id from artifact_versions v join artifacts a on a.id = artifact_id"
        )
        ours = [(kind, json.loads(known or "{}")) for _, (kind, known, producer) in kept if producer == run]
        assert sorted(ours, key=str)[1:] == [
            ("dataset", {"big": str(2**70), "step": 3}),
            ("dataset", {"big": str(2**70), "step": 3}),
            ("model", {}),
        ]

    def test_arguments_of_log(self, tracker: TrackioTracker) -> None:
        """`Run.log` takes none."""
        with pytest.raises(TypeError, match="nonsense"):
            tracker.log_images({"a": _PIXELS}, step=1, nonsense=1)
        tracker.finish()


def test_the_place_of_media(tmp_path: Path) -> None:
    """A run's name leads out of no folder."""
    assert os.path.realpath(MEDIA_DIR).startswith(os.path.realpath(TRACKIO_DIR))
    TRACKIO_DIR.mkdir(exist_ok=True)
    before = set(TRACKIO_DIR.parent.glob("*"))
    for name in ("../../../up", "/tmp/../up", "a/../../../../b"):
        tracker = TrackioTracker.for_run("contract", name, tmp_path, {"auto_log_cpu": False})
        tracker.start()
        tracker.log_images({"i": _PIXELS}, step=1)
        tracker.finish()
        assert not tracker.dropped
    assert before == set(TRACKIO_DIR.parent.glob("*"))
