"""The media of wandb offline: what wandb itself would lose, cut or mix up arrives, or is counted."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wandb

from accel_track import media
from accel_track.errors import AccelTrackWarning
from accel_track.media.encoding import gif
from accel_track.media.fallbacks import stored
from accel_track.records import Metrics
from accel_track.testing import Columns
from accel_track.trackers.wandb import media as wandb_media
from accel_track.trackers.wandb.tracker import WandBTracker
from tests.support.readers.wandb import WandBBackend, artifacts, contents, records, rows

_PIXELS = np.random.default_rng(0).integers(0, 256, (4, 3, 3), np.uint8)
_ODD = ["../up", "/etc/up", "a//b", "n\0l", "n_l", "x" * 300, "x" * 301, "ü" * 200, "", "_step", "a/b", "plain"]


class TestWandBMedia(WandBBackend):
    @pytest.fixture
    def tracker(self, tmp_path: Path) -> WandBTracker:
        tracker = self.make(tmp_path)
        tracker.start()
        return tracker

    def found(self, tracker: WandBTracker, folder: Path) -> dict[str, list[Any]]:
        """Finish the tracker, and return what was stored."""
        tracker.finish()
        return self.read(folder).media

    def test_more_images_than_a_panel_holds(self, tracker: WandBTracker, tmp_path: Path) -> None:
        """wandb keeps 108 of a list; the others have names of their own."""
        pictures = [np.full((2, 2), shade, np.uint8) for shade in range(230)]
        tracker.log_images({"many": pictures}, step=1)
        tracker.log({"own": [wandb.Image(one) for one in pictures[:110]]}, step=1)
        found = self.found(tracker, tmp_path)
        assert {name: len(found[name]) for name in ("own", "own/108")} == {"own": 108, "own/108": 2}
        assert [len(found[name]) for name in ("many", "many/108", "many/216")] == [108, 108, 14]
        shades = [int(seen.what[0, 0, 0]) for name in ("many", "many/108", "many/216") for seen in found[name]]
        assert shades == list(range(230))
        assert not tracker.dropped

    def test_captions_of_some(self, tracker: WandBTracker, tmp_path: Path) -> None:
        """wandb leaves out the captions of a list whose first has none."""
        tracker.log_images({"some": [_PIXELS, _PIXELS[::-1]]}, step=1, captions=["", "second"])
        videos = [media.Video(np.stack([_PIXELS, 255 - _PIXELS]), caption=one) for one in (None, "second")]
        tracker.log({"videos": videos}, step=1)
        found = self.found(tracker, tmp_path)
        assert [one.caption for one in found["some"]] == ["", "second"]
        assert [one.caption for one in found["videos"]] == ["", "second"]

    def test_files_keep_their_bytes(self, tracker: WandBTracker, tmp_path: Path) -> None:
        """A GIF still moves, and a page in a file of any suffix is no path written out."""
        (tmp_path / "moving.gif").write_bytes(gif(np.stack([_PIXELS, 255 - _PIXELS]), 5))
        (tmp_path / "page.htm").write_bytes(b"<p>one\r\ntwo")
        tracker.log_images({"moving": tmp_path / "moving.gif"}, step=1)
        tracker.log_html({"page": tmp_path / "page.htm", "text": "page.html"}, step=1)
        found = self.found(tracker, tmp_path)
        assert found["moving"][0].what.shape == (2, 4, 3, 3)
        assert [found[name][0].what for name in ("page", "text")] == [b"<p>one\r\ntwo", b"page.html"]

    def test_sounds_in_a_list(self, tracker: WandBTracker, tmp_path: Path) -> None:
        """wandb needs another package for a list; each has a name of its own."""
        tracker.log_audio("voice", [np.zeros(8), np.ones(8)], 1, sample_rate=8000, caption=["a", "b"])
        found = self.found(tracker, tmp_path)
        assert [found[f"voice/{place}"][0].caption for place in (0, 1)] == ["a", "b"]
        assert all(found[f"voice/{place}"][0].what.startswith(b"RIFF") for place in (0, 1))

    def test_tables_that_wandb_refuses_or_mixes_up(self, tracker: WandBTracker, tmp_path: Path) -> None:
        """Columns of several types, of one name, with gaps and with numbers that are not finite."""
        tracker.log_table("mixed", ["a", "a", "b"], [[1, "x", None], ["y", 2.5, float("nan")]], step=1)
        tracker.log_table("none", ["a"], [], step=1)
        found = self.found(tracker, tmp_path)
        table = found["mixed"][0].what
        assert table.columns == ["a", "a (2)", "b"]
        assert repr(table.rows) == repr([[1, "x", None], ["y", 2.5, float("nan")]])
        assert found["none"][0].what == Columns(["a"], [])

    def test_a_table_that_wandb_would_cut(
        self, tracker: WandBTracker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It is stored whole, as a file."""
        monkeypatch.setattr(wandb_media, "_ROWS", 2)
        tracker.log_table("long/one", ["n"], [[1], [2], [3]], step=4)
        tracker.finish()
        ((artifact, files),) = artifacts(tmp_path)  # those of tables are left out
        assert artifact.type == "media"
        assert json.loads(artifact.metadata) == {"name": "long/one", "step": 4}
        assert list(files.values()) == [b"n\n1\n2\n3\n"]
        assert not tracker.dropped

    def test_a_table_of_which_the_run_has_a_part(self, tracker: WandBTracker, tmp_path: Path) -> None:
        """wandb's artifact of the table has all rows, of which the run's own file has 10,000."""
        tracker.log_table("t", ["n"], [[number] for number in range(10_001)], step=4)
        tracker.finish()
        (path,) = tmp_path.rglob("*.wandb")
        (artifact,) = [one.artifact for one in records(path) if one.HasField("artifact")]
        ((name, data),) = contents(artifact)[1].items()
        assert name == "t.table.json"
        assert len(json.loads(data)["data"]) == 10_001

    def test_names_of_one_call(self, tracker: WandBTracker, tmp_path: Path) -> None:
        """A medium of a list whose own name another value has is counted, and changes nothing of that."""
        with pytest.warns(AccelTrackWarning, match="'a/0'.*another value of this name"):
            tracker.log({"a": [media.Text("x"), media.Text("y")], "a/0": 1.0}, step=1)
        tracker.finish()
        back = self.read(tmp_path)
        assert (back.metrics["a/0"], back.texts) == ([(1, 1.0)], {"a/1": ["y"]})
        assert tracker.dropped == {"a/0": 1}

    def test_many_classes(self, tracker: WandBTracker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A chart has a row for each cell; a matrix of too many is a table."""
        monkeypatch.setattr(wandb_media, "_CLASSES", 2)
        tracker.log_confusion_matrix("few", matrix=[[1, 2], [3, 4]], step=1, labels=["a", "a"])
        tracker.log_confusion_matrix("many", matrix=np.eye(3, dtype=int), step=1)
        found = self.found(tracker, tmp_path)
        assert found["few"][0].what == Columns(
            ["target", "predicted a", "predicted a (2)"], [["a", 1, 2], ["a (2)", 3, 4]]
        )
        assert found["many"][0].what.rows == [["0", 1, 0, 0], ["1", 0, 1, 0], ["2", 0, 0, 1]]

    def test_a_chart_beside_the_name_of_its_table(self, tracker: WandBTracker, tmp_path: Path) -> None:
        """wandb puts a chart's table under another name, which may be taken in the same row."""
        tracker.log({"m": media.ConfusionMatrix(matrix=[[1]]), "m_table": 0.5}, step=1)
        tracker.finish()
        back = self.read(tmp_path)
        assert back.metrics["m_table"] == [(1, 0.5)]
        assert [name[:2] for name in back.media] == ["m-"]

    def test_figures_of_plotlys(self, tracker: WandBTracker, tmp_path: Path) -> None:
        """They are wandb's interactive ones, without Plotly; beside drawn ones in a list they are counted."""
        figure = {"data": [{"type": "bar", "y": [1, 2]}], "layout": {"title": {"text": "ü"}}}
        path = tmp_path / f"{'0' * 64}.plotly.json"
        path.write_text(json.dumps(figure))
        tracker.log({"figure": media.Figure.of_stored({}, path)}, step=1)
        found = self.found(tracker, tmp_path)
        (row,) = rows(tmp_path)
        assert row["figure|_type"] == "plotly-file"
        assert json.loads(found["figure"][0].what) == figure

    def test_other_video_files(self, tracker: WandBTracker, tmp_path: Path) -> None:
        """A file that wandb takes is a video; another one is an artifact's."""
        for suffix in ("mp4", "mov"):
            (tmp_path / f"a.{suffix}").write_bytes(suffix.encode())
        tracker.log_video({"mp4": tmp_path / "a.mp4", "mov": tmp_path / "a.mov"}, step=1)
        found = self.found(tracker, tmp_path)
        assert found["mp4"][0].what == b"mp4"
        assert [name for name in found if name.endswith("mov") and name.startswith("media-")]

    def test_odd_names(self, tracker: WandBTracker, tmp_path: Path) -> None:
        """Images, tables and charts of any name are stored, each apart, in the run's place."""
        for number, name in enumerate(_ODD):
            tracker.log_images({name: np.full((2, 2), number, np.uint8)}, step=1)
            tracker.log_table(f"t{name}" if name in ("", "_step") else name + "/t", ["n"], [[number]], step=1)
            tracker.log_confusion_matrix(f"{name}/c", matrix=[[number]], step=1)
        tracker.finish()
        found = [seen for many in self.read(tmp_path).media.values() for seen in many]
        shades = sorted(int(one.what[0, 0, 0]) for one in found if isinstance(one.what, np.ndarray))
        tables = sorted(one.what.rows[0][-1] for one in found if isinstance(one.what, Columns))
        assert shades == list(range(len(_ODD)))
        assert tables == sorted(2 * list(range(len(_ODD))))
        assert not tracker.dropped
        (path,) = tmp_path.rglob("*.wandb")
        assert {one.relative_to(tmp_path).parts[0] for one in tmp_path.rglob("*.png")} == {"wandb"}
        names = [one.artifact.name for one in records(path) if one.HasField("artifact")]
        assert len(set(names)) == len(names) == 2 * len(_ODD)

    def test_what_is_beside_what_cannot_be_converted(self, tracker: WandBTracker, tmp_path: Path) -> None:
        """wandb has copied a list's files, and logged a table, when it fails: it takes them in other rows, and once."""
        broken = wandb.Html("x")
        broken._path = None
        with pytest.warns(AccelTrackWarning, match="'broken'"):
            several = [media.Image(_PIXELS, "a"), media.Image(_PIXELS[::-1], "b")]
            others = {"t": media.Table([[1]], ["n"]), "c": media.ConfusionMatrix(matrix=[[1]])}
            tracker.log({"list": several, "broken": broken, **others}, step=1)
        found = self.found(tracker, tmp_path)
        (path,) = tmp_path.rglob("*.wandb")
        assert sum(one.HasField("artifact") for one in records(path)) == 2
        assert [len(found[name]) for name in ("list", "t", "c")] == [2, 1, 1]
        assert tracker.dropped == {"broken": 1}
        assert [one.caption for one in found["list"]] == ["a", "b"]
        assert np.array_equal(found["list"][1].what, _PIXELS[::-1])

    def test_a_list_of_several_kinds(self, tracker: WandBTracker, tmp_path: Path) -> None:
        """It is counted: wandb would store the names of classes."""
        several = [stored(one, tracker.passing.folder) for one in (media.Image(_PIXELS), media.Text("t"))]
        with pytest.warns(AccelTrackWarning, match="several kinds"):
            tracker.log({"mixed": several, "m": 1.0}, step=1)
        tracker.finish()
        assert tracker.dropped == {"mixed": 1}
        assert set(rows(tmp_path)[0]) & {"mixed", "m"} == {"m"}

    def test_what_is_stored_of_a_batch_that_fails(
        self, tracker: WandBTracker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The connection is lost when a table's artifact and images are with wandb: given again, all is there once."""
        values = {
            "t": media.Table([[1]], ["n"]),
            "c": media.ConfusionMatrix(matrix=[[1]]),
            "b": media.ConfusionMatrix(matrix=np.eye(3, dtype=int)),
            "i": media.Image(_PIXELS),
            "l": media.Image(_PIXELS),
        }
        monkeypatch.setattr(wandb_media, "_CLASSES", 2)
        whole = {name: stored(one, tracker.passing.folder) for name, one in values.items()}
        batch = [Metrics(0, 1.7e9, {"m": 1.0}, 0), Metrics(1, 1.7e9, {**whole, "l": [whole["l"]], "m": 2.0}, 1)]
        interface = type(tracker.tracker._interface)
        with monkeypatch.context() as patch:
            patch.setattr(interface, "_publish_partial_history", _lost)
            with pytest.raises(ConnectionError):
                tracker.log_batch(batch)
        tracker.log_batch(batch)
        found = self.found(tracker, tmp_path)
        assert {name: len(seen) for name, seen in found.items()} == dict.fromkeys("tcbil", 1)
        assert [row["m"] for row in rows(tmp_path)] == [1.0, 2.0]
        (path,) = tmp_path.rglob("*.wandb")
        assert sum(one.HasField("artifact") for one in records(path)) == 3
        assert not tracker.dropped

    def test_one_medium_in_two_runs(self, tracker: WandBTracker, tmp_path: Path) -> None:
        """A tracker that is started again makes an object of its own for the second."""
        table = stored(media.Table([[1]], ["n"]), tmp_path / "kept")
        tracker.log({"t": table}, step=1)
        tracker.finish()
        tracker.start()
        tracker.log({"t": table}, step=1)
        tracker.finish()
        assert not tracker.dropped
        assert len(list(tmp_path.rglob("*.table.json"))) == 2

    def test_artifacts(self, tracker: WandBTracker, tmp_path: Path) -> None:
        """Names, types and metadata of any kind; what a folder holds beside files is left out."""
        folder = tmp_path / "given" / "inner"
        folder.mkdir(parents=True)
        (folder / "ü.bin").write_bytes(b"1")
        (folder.parent / "link").symlink_to("nowhere")
        many = {f"k{number}": number for number in range(150)}
        tracker.log_artifact(folder / "ü.bin", "a/b", type="job", metadata=many)
        tracker.log_artifact(folder / "ü.bin", "a_b", metadata={"rows": 1}, step=3)
        tracker.log_artifact(f"{folder.parent}/", type="data/set")
        tracker.log_model(folder / "ü.bin", "x" * 200, step=2)
        tracker.finish()
        found = artifacts(tmp_path)
        assert [one.type for one, _ in found] == ["user-job", "artifact", found[2][0].type, "model"]
        assert [files for _, files in found] == [
            {"ü.bin": b"1"},
            {"ü.bin": b"1"},
            {"inner/ü.bin": b"1"},
            {"ü.bin": b"1"},
        ]
        assert [json.loads(one.metadata or "{}") for one, _ in found] == [
            {"metadata": many},
            {"step": 3, "rows": 1},
            {},
            {"step": 2},
        ]
        names = [one.name for one, _ in found]
        assert names[1:3] == ["a_b", "given"]
        assert names[0].startswith("a_b-")
        assert len(names[3]) == 128

    def test_arguments_of_log(self, tracker: WandBTracker, tmp_path: Path) -> None:
        """They go to `Run.log`, which takes no others."""
        tracker.log_images({"a": _PIXELS}, step=1, commit=False)
        tracker.log({"m": 1.0}, step=1)
        with pytest.raises(TypeError, match="nonsense"):
            tracker.log_table("t", ["a"], [[1]], nonsense=1)
        tracker.finish()
        (row,) = rows(tmp_path)
        assert (row["m"], row["a|_type"]) == (1.0, "image-file")


def _lost(*_: Any, **__: Any) -> None:
    raise ConnectionError
