"""The media in DVCLive's folder: each step's, exactly, also of a run that goes on."""

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image as Pil

from accel_track import media
from accel_track.errors import AccelTrackWarning
from accel_track.media import Image
from accel_track.records import Metrics
from accel_track.testing import Bins, Columns
from accel_track.trackers.dvclive.fast import LivePath
from accel_track.trackers.dvclive.tracker import DVCLiveTracker
from tests.support.figures import PLOT, figure
from tests.support.media import files, given
from tests.support.private_parts import lost_at
from tests.support.readers.dvclive import QUIET, DVCLiveContract

PIXELS = np.random.default_rng(0).integers(100, 140, (5, 4, 3), np.uint8)
BACKEND = DVCLiveContract()


class TestDVCLiveMedia:
    def started(self, folder: Path, **kwargs: Any) -> Any:
        """Return a tracker that is started."""
        tracker = BACKEND.make(folder)
        tracker.init_kwargs.update(kwargs)
        tracker.start()
        return tracker

    def plots(self, folder: Path) -> list[Any]:
        """Return the plots that `dvc.yaml` lists."""
        listed: list[Any] = yaml.safe_load((folder / "contract" / "run" / "dvc.yaml").read_text())["plots"]
        return listed

    def test_every_step_is_kept(self, tmp_path: Path) -> None:
        """Images of a name are files of their steps; two of one step are both kept, and one logged again is one."""
        tracker = self.started(tmp_path)
        for step, shade in ((3, 1), (3, 2), (3, 2), (5, 1)):
            tracker.log_images({"x": np.full((2, 2), shade, np.uint8)}, step=step)
        tracker.finish()
        stored = BACKEND.read(tmp_path).media["x"]
        assert sorted((seen.step, int(seen.what.max())) for seen in stored) == [(3, 1), (3, 2), (5, 1)]
        assert "dvclive/plots/images" in self.plots(tmp_path)

    def test_names(self, tmp_path: Path) -> None:
        """No name leads out of the folder, and no two become one, whatever the kinds."""
        names = [
            "../up",
            "..",
            "",
            "/abs",
            "a",
            "a/3",
            "a/3.png",
            "a/3.png/b",
            "3.png",
            "t.json",
            "t",
            "n\0l",
            "a:b",
            "a_b",
        ]
        names += ["x" * 300, "x" * 299 + "y", "ü" * 150]
        tracker = self.started(tmp_path)
        for number, name in enumerate(names):
            tracker.log_images({name: np.full((2, 2), number, np.uint8)}, step=3)
            tracker.log_table(name, ["a", "b"], [[1, number]], step=3)
        tracker.finish()
        seen = [one.what for many in BACKEND.read(tmp_path).media.values() for one in many]
        assert sorted(int(one.max()) for one in seen if not isinstance(one, Columns)) == list(range(len(names)))
        assert sorted(one.rows[0][1] for one in seen if isinstance(one, Columns)) == list(range(len(names)))
        assert {path.name for path in tmp_path.iterdir()} <= {"contract", "cwd"}
        assert not tracker.dropped

    def test_files_keep_their_bytes(self, tmp_path: Path) -> None:
        """DVCLive would write them again: a JPEG with other pixels, and of a GIF one frame."""
        Pil.fromarray(PIXELS).save("a.jpg", quality=50)
        tracker = self.started(tmp_path)
        tracker.log_images({"jpeg": "a.jpg"}, step=1)
        tracker.log_video({"moving": np.stack([PIXELS, 255 - PIXELS])}, step=1)
        tracker.log({"f": media.Figure(figure()), "several": [Image(PIXELS), Image(PIXELS[:3])]}, step=1)
        tracker.finish()
        plots = tmp_path / "contract" / "run" / "dvclive" / "plots"
        assert (plots / "images" / "jpeg" / "1.jpg").read_bytes() == Path("a.jpg").read_bytes()
        assert json.loads((plots / "media" / "f" / "1.plotly.json").read_text()) == PLOT
        stored = BACKEND.read(tmp_path).media
        assert stored["moving"][0].what.shape == (2, 5, 4, 3)
        assert stored["several/1"][0].what.shape == (3, 4, 3)

    def test_calls_without_a_step(self, tmp_path: Path) -> None:
        """Each counts one, with values and without; figures stay open."""
        tracker = self.started(tmp_path)
        tracker.log({"x": Image(PIXELS)})
        tracker.log({"x": Image(PIXELS), "loss": 1})
        tracker.log({"x": Image(PIXELS), "note": media.Text("t")})
        tracker.log({"loss": 2})
        tracker.finish()
        stored = BACKEND.read(tmp_path)
        assert [seen.step for seen in stored.media["x"]] == [0, 1, 2]
        assert stored.media["note"] == [("t", 2, "")]
        assert stored.metrics["loss"] == [(1, 1), (3, 2)]

    def test_plots(self, tmp_path: Path) -> None:
        """The newest of a name is a plot that `dvc.yaml` lists, all are kept, and the report shows them."""
        tracker = self.started(tmp_path, report="html")
        for step in (1, 2):
            tracker.log_table("t", ["x", "x"], [[step, float("nan")], [None, 2]], step=step)
            tracker.log({"h": media.Histogram(counts=[1, step], edges=[0, 1, 4])}, step=step)
            tracker.log_confusion_matrix("c", [0, 1, 1], [0, 1, 0], step=step, labels=["a", "a"])
        tracker.log_table("none", ["a", "b"], [], step=2)
        tracker.flush()
        tracker.log_table("t", ["other", "y"], [[1, 2]], step=3)
        tracker.log_table("c", ["other", "y"], [[1, 2]], step=3)
        tracker.finish()
        stored = BACKEND.read(tmp_path).media
        assert stored["t"][0] == (Columns(["x", "x (2)"], [[1, "nan"], [None, 2]]), 1, "")
        assert [seen.what for seen in stored["h"]] == [Bins([1, 1], [0, 1, 4]), Bins([1, 2], [0, 1, 4])]
        assert stored["none"][0].what == Columns(["a", "b"], [])
        assert stored["c"][0].what.rows == [["a", "1", "0"], ["a", "1", "1"]]
        listed = {path: config for one in self.plots(tmp_path) if isinstance(one, dict) for path, config in one.items()}
        assert listed["dvclive/plots/custom/t.json"] == {"template": "linear", "x": "other", "y": "y"}
        assert listed["dvclive/plots/custom/c.json"]["x"] == "other"
        assert listed["dvclive/plots/custom/h.json"] == {"template": "bar_horizontal", "x": "count", "y": "bin"}
        assert not any("sklearn" in path for path in listed)
        assert "other" in (tmp_path / "contract" / "run" / "dvclive" / "report.html").read_text()

    def test_confusion_matrices_that_are_no_samples(self, tmp_path: Path) -> None:
        """Fractions, and very many samples, are kept as a table without a plot."""
        tracker = self.started(tmp_path)
        tracker.log_confusion_matrix("shares", matrix=[[0.5, 0.5], [0, 1]], step=1)
        tracker.log_confusion_matrix("many", matrix=[[10**9, 0], [0, 1]], step=1)
        tracker.finish()
        stored = BACKEND.read(tmp_path).media
        assert stored["shares"][0].what.rows == [["0", "0.5", "0.5"], ["1", "0.0", "1.0"]]
        assert stored["many"][0].what.rows[0][1] == "1000000000"
        assert not list(tmp_path.rglob("sklearn/*.json"))

    @pytest.mark.parametrize("report", [None, "html"])
    def test_a_run_that_goes_on(self, tmp_path: Path, report: str | None) -> None:
        """Images and plots of before are listed on; a step back removes those of later steps."""
        first = self.started(tmp_path)
        for step in (1, 2, 3):
            first.log_images({"x": PIXELS}, step=step)
        first.log_table("t", ["a", "b"], [[1, 2]], step=1)
        first.log_table("late", ["a", "b"], [[1, 2]], step=3)
        first.log_confusion_matrix("c", [0, 1], [0, 1], step=1)
        before = first.finish() or self.plots(tmp_path)
        again = self.started(tmp_path, resume=True, report=report)
        again.log({"loss": 0.5}, step=4)
        again.flush()
        assert sorted(map(str, self.plots(tmp_path))) == sorted(map(str, before))
        again.rewind(2)
        again.log_images({"x": 255 - PIXELS}, step=2)
        again.finish()
        stored = BACKEND.read(tmp_path).media
        assert [(seen.step, int(seen.what.max()) > 150) for seen in stored["x"]] == [(1, False), (2, True)]
        assert "late" not in stored
        assert not list(tmp_path.rglob("late.json"))
        assert len(stored["t"]) == len(stored["c"]) == 1

    def test_a_text_that_no_table_can_hold(self, tmp_path: Path) -> None:
        """Python's `csv`, and with it DVC and this tracker, reads no cell of so many characters."""
        first = self.started(tmp_path)
        first.log({"t": media.Text("a" * 131_073), "loss": 0.5}, step=1)
        with pytest.warns(AccelTrackWarning, match="more than 131,072 characters in a table; log a `Text`"):
            first.log({"raw": "a" * 131_073, "loss": 0.25}, step=2)
        first.finish()
        again = self.started(tmp_path, resume=True)
        again.rewind(2)
        again.log({"loss": 0.125}, step=2)
        again.finish()
        stored = BACKEND.read(tmp_path)
        assert stored.metrics["loss"] == [(1, 0.5), (2, 0.125)]
        (file,) = tmp_path.rglob("plots/media/t/1.md")
        assert file.read_text() == "a" * 131_073

    def test_a_new_run_in_an_old_folder(self, tmp_path: Path) -> None:
        """What another run has left goes, as DVCLive's own files do."""
        for name in ("one", "two"):
            tracker = self.started(tmp_path)
            tracker.log({"loss": 1, f"x/{name}": Image(PIXELS), f"h/{name}": media.Html("<b>")}, step=0)
            tracker.finish()
        assert set(BACKEND.read(tmp_path).media) == {"x/two", "h/two"}

    def test_artifacts_outside_of_a_repository(self, tmp_path: Path) -> None:
        """They are in the folder and in `dvc.yaml`, and one of the same name is replaced."""
        folder = files(tmp_path / "given")
        tracker = self.started(tmp_path)
        tracker.log_artifact(folder / "deep" / "b.bin", "data")
        tracker.log_artifact(folder / "a.txt", "data", type="dataset", metadata={"rows": 2**70}, step=3)
        tracker.log_artifacts(folder, "../up")
        tracker.log_model(folder / "a.txt", "net")
        tracker.log_artifact(folder / "a.txt", "half \ud800", metadata={"\ud800": "\ud800"})
        tracker.log({"loss": 1}, step=0)
        tracker.finish()
        listed = yaml.safe_load((tmp_path / "contract" / "run" / "dvc.yaml").read_text())["artifacts"]
        assert listed["data"] == {
            "path": "dvclive/artifacts/data.txt",
            "type": "dataset",
            "meta": {"step": 3, "rows": str(2**70)},
        }
        assert listed["net"]["type"] == "model"
        (up,) = (name for name in listed if name.startswith("up-"))
        (half,) = (name for name in listed if name.startswith("half-"))
        assert listed[up]["meta"] == {"name": "../up"}
        stored = BACKEND.read(tmp_path).media
        assert stored["data"][0].what == b"a.txt"
        assert stored[up][0].what == {"a.txt": b"a.txt", "deep/b.bin": b"deep/b.bin"}
        names = {path.name for path in (tmp_path / "contract" / "run" / "dvclive" / "artifacts").iterdir()}
        assert names == {"data.txt", "net.txt", f"{half}.txt", up}
        assert not tracker.dropped

    def test_artifacts_in_a_repository(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """They are added to DVC, too."""
        for name in ("GIT_AUTHOR", "GIT_COMMITTER"):
            monkeypatch.setenv(f"{name}_NAME", "test")
            monkeypatch.setenv(f"{name}_EMAIL", "test@example.org")
        for command in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "start"]):
            subprocess.run(["git", *command], check=True)
        folder = files(tmp_path / "given")
        tracker = DVCLiveTracker.for_run("digits", "first", "out", dict(QUIET))
        tracker.start()
        tracker.log_artifact(folder / "a.txt", "data", type="dataset")
        tracker.log_artifacts(folder, "folder")
        tracker.log({"loss": 1}, step=0)
        tracker.finish()
        stored = Path("out/digits/first/dvclive/artifacts")
        listed = yaml.safe_load((stored.parent.parent / "dvc.yaml").read_text())["artifacts"]
        assert listed["data"] == {"path": "dvclive/artifacts/data.txt", "type": "dataset"}
        assert (stored / "data.txt.dvc").exists()
        assert (stored / "folder.dvc").exists()
        assert not tracker.dropped

    @pytest.mark.parametrize("method", ["log_image", "log_plot", "log_sklearn_plot", "make_summary"])
    @pytest.mark.parametrize("place", [0, 1, 2])
    def test_a_failure_at_any_call(self, tmp_path: Path, method: str, place: int) -> None:
        """The batch is given again, and each medium is stored once; also without the parts that are not public."""
        tracker = self.started(tmp_path)
        if method == "log_image":
            tracker.fast(LivePath).close()
        kinds: dict[str, media.Medium] = {
            "i": Image(PIXELS),
            "t": media.Table([[1, 2]], ["a", "b"]),
            "x": media.Text("t"),
        }
        kinds |= {"c": media.ConfusionMatrix([0, 1], [0, 1]), "w": media.Html("<b>")}
        batch = [Metrics(i, 1.7e9, {**given(kinds, tmp_path), "loss": i / 4}, i) for i in range(3)]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tracker.tracker, method, lost_at(place, getattr(tracker.tracker, method)))
            with pytest.raises(ConnectionError, match="lost"):
                tracker.log_batch(batch)
            tracker.log_batch(batch)
        tracker.finish()
        stored = BACKEND.read(tmp_path)
        assert stored.metrics["loss"] == [(i, i / 4) for i in range(3)]
        for name in kinds:
            assert [seen.step for seen in stored.media[name]] == [0, 1, 2], name
