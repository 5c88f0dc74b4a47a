"""The media of Comet's offline mode: what Comet would cut, change or mix, and calls that fail."""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accel_track import media
from accel_track.errors import AccelTrackWarning, EndedError
from accel_track.media import Image
from accel_track.records import Metrics
from accel_track.testing import Columns
from tests.support.figures import PLOT, figure
from tests.support.media import files, given
from tests.support.private_parts import lost_at
from tests.support.readers.comet import CometContract, archives, messages, uploads

PIXELS = np.random.default_rng(0).integers(100, 140, (5, 4, 3), np.uint8)
BACKEND = CometContract()


class TestCometMedia:
    def started(self, folder: Path) -> Any:
        """Return a tracker that is started."""
        tracker = BACKEND.make(folder)
        tracker.start()
        return tracker

    def uploads(self, folder: Path) -> list[dict[str, Any]]:
        """Return what the only archive says of each file."""
        (archive,) = archives(folder)
        return uploads(archive)

    def test_names(self, tmp_path: Path) -> None:
        """No two names become one, none leads out of a folder, and none is cut or taken for the home directory's."""
        long = "x" * 150
        names = [
            "../up",
            "~/x",
            "~",
            "/abs",
            "",
            "a\0b",
            "a_b",
            "a/b",
            "a/../b",
            "..",
            long + "1",
            long + "2",
            "ü" * 80,
        ]
        tracker = self.started(tmp_path)
        tracker.log_images(dict.fromkeys(names, PIXELS), step=1)
        for name in names:
            tracker.log_table(name, ["a"], [[1]], step=1)
        tracker.finish()
        stored = self.uploads(tmp_path)
        for key in ("figName", "fileName"):
            found = [one["additional_params"][key] for one in stored if key in one["additional_params"]]
            assert len(set(found)) == len(names), found
            for name in found:
                assert name.isprintable()
                assert not name.startswith(("/", "~"))
                assert ".." not in name.split("/")
                assert len(name) <= 104
        assert not tracker.dropped

    def test_a_table_named_as_a_file_that_is_here(self, tmp_path: Path) -> None:
        """`Experiment.log_table` would log that file in the table's place."""
        Path("rows.csv").write_text("secret")
        Path("rows").write_text("secret")
        tracker = self.started(tmp_path)
        tracker.log_table("rows", ["a", "a"], [[1, "x,y"]], step=4)
        tracker.finish()
        (seen,) = BACKEND.read(tmp_path).media["rows"]
        assert (seen.what, seen.step) == (b'a,a\n1,"x,y"\n', 4)

    @pytest.mark.parametrize("how", ["value", "medium"])
    def test_a_text_that_names_a_file(self, tmp_path: Path, how: str) -> None:
        """Comet would take it for that file and fail, or put the home directory in its place."""
        Path("notes.md").write_text("secret")
        texts = {"file": "notes.md", "home": "~/x", "plain": "~ 5", "empty": ""}
        tracker = self.started(tmp_path)
        tracker.log({name: text if how == "value" else media.Text(text) for name, text in texts.items()}, step=2)
        tracker.finish()
        stored = BACKEND.read(tmp_path).media
        assert {name: stored[name][0].what.strip() for name in texts} == texts
        assert not tracker.dropped

    def test_videos_of_all_kinds(self, tmp_path: Path) -> None:
        """What Comet takes for no video is a plain file, also within a list."""
        for name in ("a.mp4", "b.mkv", "c.webm"):
            Path(name).write_bytes(name.encode())
        tracker = self.started(tmp_path)
        tracker.log_video({"two": ["a.mp4", "b.mkv"], "one": "c.webm"}, step=1, captions="it")
        tracker.finish()
        kinds = {one["additional_params"]["fileName"]: one["upload_type"] for one in self.uploads(tmp_path)}
        assert kinds == {"two/0.mp4": "video", "two/1.mkv": "asset", "one.webm": "asset"}
        stored = BACKEND.read(tmp_path).media
        assert {name: (stored[name][0].what, stored[name][0].caption) for name in stored} == {
            "two/0": (b"a.mp4", "it"),
            "two/1": (b"b.mkv", "it"),
            "one": (b"c.webm", "it"),
        }

    def test_figures_of_plotly(self, tmp_path: Path) -> None:
        """Their JSON is an asset, since Comet draws none without Kaleido."""
        tracker = self.started(tmp_path)
        tracker.log({"figure": media.Figure(figure())}, step=3)
        tracker.finish()
        (seen,) = BACKEND.read(tmp_path).media["figure"]
        assert (json.loads(seen.what), seen.step) == (PLOT, 3)
        assert self.uploads(tmp_path)[0]["additional_params"]["fileName"] == "figure.plotly.json"

    def test_many_classes_and_fractions(self, tmp_path: Path) -> None:
        """Comet would keep 25 classes, and make integers of fractions."""
        counts = np.arange(30 * 30).reshape(30, 30)
        tracker = self.started(tmp_path)
        tracker.log_confusion_matrix("many", matrix=counts, step=1)
        tracker.log_confusion_matrix("shares", matrix=[[0.25, 0.75], [1, 0]], labels=["a", "a"], step=1)
        tracker.finish()
        stored = BACKEND.read(tmp_path).media
        many = stored["many"][0].what
        assert isinstance(many, Columns)
        assert [row[1:] for row in many.rows] == counts.tolist()
        assert stored["shares"][0].what == b"target,predicted a,predicted a\na,0.25,0.75\na,1.0,0.0\n"

    def test_histograms(self, tmp_path: Path) -> None:
        """One needs no step; one of numbers that Comet would leave out is a table."""
        tracker = self.started(tmp_path)
        tracker.log_histogram({"numbers": np.array([1.0, 2.0, np.nan, 2.0])}, bins=2)
        tracker.log(
            {"huge": media.Histogram([1e25, 3e25], 2), "shares": media.Histogram(counts=[0.5], edges=[0, 1])}, step=7
        )
        tracker.finish()
        stored = BACKEND.read(tmp_path).media
        assert stored["numbers"][0] == ((([1, 2], [1.0, 1.5, 2.0])), 0, "")
        assert stored["huge"][0].what.startswith(b"from,to,count\n1e+25,")
        assert stored["shares"][0].what == b"from,to,count\n0.0,1.0,0.5\n"
        assert not tracker.dropped

    def test_points_with_colours(self, tmp_path: Path) -> None:
        """Colours go from 0 to 1, and a category has one."""
        tracker = self.started(tmp_path)
        tracker.log_points({"rgb": [[0, 0, 1, 255, 0, 300]], "kinds": [[0, 0, 1, 1], [0, 0, 2, 2]]}, step=1)
        tracker.finish()
        stored = BACKEND.read(tmp_path).media
        assert stored["rgb"][0].what.tolist() == [[0, 0, 1, 1, 0, 1]]
        colours = stored["kinds"][0].what[:, 3:]
        assert colours.shape == (2, 3)
        assert (colours[0] != colours[1]).any()

    def test_html_is_one_page_with_names(self, tmp_path: Path) -> None:
        """Each part stands below its name, in the order logged."""
        tracker = self.started(tmp_path)
        tracker.log_html({"<one>": "<b>1</b>"}, step=5)
        tracker.log_html({"two": "<b>2</b>\n"})
        tracker.finish()
        (archive,) = archives(tmp_path)
        pages = [one["html"] for one in messages(archive, "html")]
        assert pages == ["<h4>&lt;one&gt;, step 5</h4>\n<b>1</b>", "<h4>two</h4>\n<b>2</b>\n"]

    def test_artifacts_and_models(self, tmp_path: Path) -> None:
        """Files keep their paths in a folder, metadata, types and steps; each of one name is kept."""
        folder = files(tmp_path / "given")
        tracker = self.started(tmp_path)
        tracker.log_artifacts(folder, "data", type="dataset", metadata={"rows": 2}, step=3)
        tracker.log_artifact(folder / "a.txt")
        tracker.log_artifact(folder / "a.txt")
        tracker.log_artifact(folder / "a.txt", "half \ud800", metadata={"\ud800": "\ud800"})
        tracker.log_model(folder, "net", metadata={"acc": 0.5}, step=4)
        tracker.finish()
        about = {one["additional_params"]["fileName"]: one for one in self.uploads(tmp_path)}
        assert about["data/deep/b.bin"]["metadata"] == {"artifact": "data", "type": "dataset", "rows": 2}
        assert about["data/a.txt"]["additional_params"]["step"] == 3
        assert about["net/deep/b.bin"]["upload_type"] == "model-element"
        assert about["net/deep/b.bin"]["metadata"] == {"acc": 0.5, "step": 4}
        assert len([one for one in self.uploads(tmp_path) if one["additional_params"]["fileName"] == "a.txt"]) == 2

    def test_further_arguments(self, tmp_path: Path) -> None:
        """They reach the SDK's own call, and unknown ones raise; those of values beside media stay with the values."""
        tracker = self.started(tmp_path)
        tracker.log_images({"noted": PIXELS}, step=1, metadata={"note": "x"}, captions="cap")
        tracker.log({"both": Image(PIXELS), "loss": 0.5}, step=2, epoch=7)
        with pytest.raises(TypeError, match="no_such"):
            tracker.log_images({"odd": PIXELS}, step=1, no_such=1)
        with pytest.raises(TypeError, match="no_such"):
            tracker.log_table("odd", ["a"], [[1]], step=1, no_such=1)
        tracker.finish()
        about = {one["additional_params"]["figName"]: one for one in self.uploads(tmp_path)}
        assert about.keys() == {"noted", "both"}
        assert about["noted"]["metadata"] == {"caption": "cap", "note": "x"}

    @pytest.mark.first(4)
    @pytest.mark.parametrize("method", ["log_image", "log_asset", "log_text", "log_histogram_3d", "log_metrics"])
    @pytest.mark.parametrize("place", [0, 1, 2])
    def test_a_lost_connection_at_any_call(self, tmp_path: Path, method: str, place: int) -> None:
        """The batch is given again, and each medium is stored once."""
        tracker = self.started(tmp_path)
        kinds = {"i": Image(PIXELS), "t": media.Table([[1]], ["a"]), "x": media.Text("t"), "h": media.Histogram([1, 2])}
        batch = [Metrics(i, 0.0, {**given(kinds, tmp_path), "loss": i / 4}, i) for i in range(3)]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tracker.tracker, method, lost_at(place, getattr(tracker.tracker, method)))
            with pytest.raises(ConnectionError, match="lost"):
                tracker.log_batch(batch)
            tracker.log_batch(batch)
        assert not tracker.dropped
        tracker.finish()
        stored = BACKEND.read(tmp_path)
        assert stored.metrics["loss"] == [(i, i / 4) for i in range(3)]
        for name in kinds:
            assert [seen.step for seen in stored.media[name]] == [0, 1, 2], name

    def test_what_comet_refuses_is_counted_once(self, tmp_path: Path) -> None:
        """Also where the call is repeated, since a later medium of it failed."""
        tracker = self.started(tmp_path)
        Path("big.mkv").write_bytes(b"x")
        values: dict[str, media.Medium] = {"big": media.Video("big.mkv"), "late": Image(PIXELS)}
        batch = [Metrics(0, 0.0, given(values, tmp_path), 0)]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tracker.tracker, "asset_upload_limit", -1)
            patch.setattr(tracker.tracker, "log_image", lost_at(0, tracker.tracker.log_image))
            with pytest.warns(AccelTrackWarning, match="could not take it"), pytest.raises(ConnectionError):
                tracker.log_batch(batch)
            tracker.log_batch(batch)
        tracker.finish()
        assert tracker.dropped == {"big": 1}
        assert list(BACKEND.read(tmp_path).media) == ["late"]

    def test_an_experiment_that_is_over_takes_no_media(self, tmp_path: Path) -> None:
        """Delivery stops instead."""
        tracker = self.started(tmp_path)
        tracker.tracker.end()
        file = tmp_path / "file.txt"
        file.write_text("x")
        for call in (lambda: tracker.log_images({"x": PIXELS}, step=0), lambda: tracker.log_artifact(file)):
            with pytest.raises(EndedError, match="takes no more values"):
                call()
        tracker.finish()
        assert not tracker.dropped

    def test_the_files_are_comets_own(self, tmp_path: Path) -> None:
        """What is deleted after the call is in the archive all the same."""
        tracker = self.started(tmp_path)
        file = tmp_path / "file.txt"
        file.write_text("x")
        tracker.log_artifact(file)
        file.unlink()
        tracker.log_images({"x": PIXELS}, step=0)
        tracker.passing.forget()
        tracker.finish()
        (archive,) = archives(tmp_path)
        with zipfile.ZipFile(archive) as content:
            stored = [content.read(one["file_path"]) for one in uploads(archive)]
        assert len(stored) == 2
        assert b"x" in stored
