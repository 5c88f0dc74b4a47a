"""The media of ClearML's offline sessions: what ClearML would change, mix or overwrite, and calls that fail."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accel_track import media
from accel_track.errors import EndedError
from accel_track.media import Image
from accel_track.records import Metrics
from accel_track.testing import Bins, Columns
from accel_track.trackers.clearml.process import Process
from tests.support.figures import PLOT, figure
from tests.support.media import files, given
from tests.support.private_parts import lost_at
from tests.support.readers.clearml import ClearMLContract, cache, events, sessions  # noqa: F401 - a fixture
from tests.support.readers.clearml import media as stored_media

PIXELS = np.random.default_rng(0).integers(100, 140, (5, 4, 3), np.uint8)
BACKEND = ClearMLContract()


class TestClearMLMedia:
    def started(self) -> Any:
        """Return a tracker that is started."""
        tracker = BACKEND.make(Path())
        tracker.start()
        return tracker

    def test_names(self, tmp_path: Path) -> None:
        """Each image has a file of its own in the session, under any name, and is read back as it was."""
        long = "x" * 150
        names = ["../up", "..", ".", "", "/abs", "a/", "a", "a#b", "a0x23b", "b/c", "b.slash.c", "d\\e", "d/e", "n\0l"]
        names += [
            long + "1",
            long + "2",
            "ü" * 80,
            "\U0001f642" * 24,
            "@" * 99,
            "@" * 10 + "ü" * 45,
            "/".join("a" * 60),
        ]
        pictures = {name: np.full((2, 2, 3), number, np.uint8) for number, name in enumerate(names)}
        tracker = self.started()
        tracker.log_images(pictures, step=1)
        tracker.flush()
        tracker.finish()
        assert not tracker.dropped
        found = {series: seen[0].what for series, seen in BACKEND.read(tmp_path).media.items()}
        assert len(found) == len(names)
        assert sorted(int(array.max()) for array in found.values()) == list(range(len(names)))

    @pytest.mark.long
    def test_images_of_a_program_that_continues(self, tmp_path: Path) -> None:
        """ClearML counts the files of a name from 0 again, and would replace those of the first program."""
        program = (
            "import sys, numpy as np\n"
            "from accel_track.trackers.clearml.tracker import ClearMLTracker\n"
            "more = {'continue_last_task': sys.argv[2]} if sys.argv[2] else {'task_name': 'run'}\n"
            "tracker = ClearMLTracker('contract', **more)\ntracker.start()\nstep = int(sys.argv[1])\n"
            "tracker.log_images({'x': np.full((2, 2), step, np.uint8)}, step=step)\n"
            "print('id', tracker.tracker.id)\ntracker.finish()\n"
        )
        task = ""
        for step in (1, 2):
            command = [sys.executable, "-c", program, str(step), task]
            done = subprocess.run(command, check=True, timeout=90, capture_output=True, text=True)
            task = done.stdout.rpartition("id ")[2].split()[0]
        (session,) = sessions(tmp_path)
        assert [(seen.step, int(seen.what.max())) for seen in stored_media(session)["x"]] == [(1, 1), (2, 2)]

    def test_times(self, tmp_path: Path) -> None:
        """Media have the time of the call that logged them, however late they are delivered."""
        tracker = self.started()
        kinds = {"i": Image(PIXELS), "t": media.Table([[1]], ["a"]), "x": media.Text("t")}
        tracker.log_batch([Metrics(0, 1.6e9, given(kinds, tmp_path), 0)])
        tracker.tracker.get_logger().report_table("own", "own", 0, [["a"], [1]])
        tracker.finish()
        (session,) = sessions(tmp_path)
        times = {event["variant"]: event["timestamp"] for event in events(session)}
        assert [times.pop(name) for name in kinds] == [1_600_000_000_000] * 3
        assert times["own"] > 1_700_000_000_000

    def test_a_limited_history(self, tmp_path: Path) -> None:
        """With `max_image_history`, later images take the place of earlier ones, as in ClearML itself."""
        tracker = self.started()
        for step in range(4):
            tracker.log_images({"x": PIXELS + step}, step=step, max_image_history=2)
        tracker.flush()
        tracker.finish()
        (session,) = sessions(tmp_path)
        assert len({event["url"] for event in events(session) if event["type"] == "training_debug_image"}) == 2

    def test_files_keep_their_bytes(self, tmp_path: Path) -> None:
        """Media that are files are those files, with their suffixes."""
        for name in ("a.mp4", "b.flac"):
            Path(name).write_bytes(name.encode())
        tracker = self.started()
        tracker.log_video({"v": "a.mp4"}, step=1)
        tracker.log_audio({"a": "b.flac"}, step=2)
        tracker.log_text({"t": "# ü"}, step=3)
        tracker.finish()
        stored = BACKEND.read(tmp_path).media
        assert {name: (seen.what, seen.step) for name, (seen,) in stored.items()} == {
            "v": (b"a.mp4", 1),
            "a": (b"b.flac", 2),
            "t": ("# ü".encode(), 3),
        }
        (session,) = sessions(tmp_path)
        assert sorted(Path(event["url"]).suffix for event in events(session)) == [".flac", ".md", ".mp4"]

    def test_figures_of_plotly(self, tmp_path: Path) -> None:
        """They are plots with their own titles, which ClearML would replace."""
        tracker = self.started()
        tracker.log(
            {"figure": media.Figure(figure()), "two": [media.Figure(figure()), media.Figure(_matplotlib())]}, step=3
        )
        tracker.finish()
        stored = BACKEND.read(tmp_path).media
        assert (stored["figure"][0].what, stored["figure"][0].step) == (PLOT, 3)
        assert stored["two/0"][0].what == PLOT
        assert stored["two/1"][0].what.shape == (50, 50, 4)

    def test_tables(self, tmp_path: Path) -> None:
        """Cells are strict JSON, and columns of one name stay two."""
        tracker = self.started()
        tracker.log_table(
            "t", ["a", "a"], [[1, float("nan")], [None, float("-inf")]], step=2, extra_layout={"height": 9}
        )
        tracker.log_table("none", ["a", "b"], [])
        tracker.finish()
        stored = BACKEND.read(tmp_path).media
        assert stored["t"] == [(Columns(["a", "a"], [[1, "nan"], [None, "-inf"]]), 2, "")]
        assert stored["none"][0].what.columns == ["a", "b"]
        (session,) = sessions(tmp_path)
        plots = [json.loads(event["plot_str"]) for event in events(session) if event["metric"] == "t"]
        assert plots[0]["layout"]["height"] == 9

    def test_plots(self, tmp_path: Path) -> None:
        """Histograms have their edges, points their colours, and classes of one name stay two."""
        tracker = self.started()
        tracker.log({"h": media.Histogram(counts=[1, 2], edges=[0, 1, 4])}, step=1)
        tracker.log_points({"p": [[0, 0, 1, 255, 0, 9]], "k": [[0, 0, 1, 2]]}, step=1)
        tracker.log_confusion_matrix("c", matrix=[[1, 2], [3, 4]], labels=["a", "a"], step=1)
        tracker.finish()
        stored = BACKEND.read(tmp_path).media
        assert stored["h"][0].what == Bins([1, 2], [0, 1, 4])
        assert stored["c"][0].what.rows == [["a", 1, 2], ["a (2)", 3, 4]]
        (session,) = sessions(tmp_path)
        plots = {event["variant"]: json.loads(event["plot_str"])["data"][0] for event in events(session)}
        assert plots["p"]["marker"]["color"] == ["rgb(255,0,9)"]
        assert plots["k"]["marker"]["color"] == [2]

    def test_artifacts_and_models(self, tmp_path: Path) -> None:
        """Files and folders are stored when the call returns, with type, step and metadata; a name has the newest."""
        folder = files(tmp_path / "given")
        tracker = self.started()
        tracker.log_artifact(folder / "deep" / "b.bin", "data")
        tracker.log_artifact(folder / "a.txt", "data", type="dataset", metadata={"more": {"rows": 2}}, step=3)
        tracker.log_artifacts(folder, "../up")
        tracker.log_model(folder / "a.txt", "net", step=4)
        tracker.log_artifact(folder / "a.txt", "half \ud800", metadata={"\ud800": "\ud800"})
        (folder / "a.txt").unlink()
        tracker.finish()
        (session,) = sessions(tmp_path)
        entries = {one["key"]: one for one in json.loads((session / "task.json").read_text())["execution"]["artifacts"]}
        about = {name: dict(entry["display_data"]) for name, entry in entries.items()}
        assert about["data"] == {"type": "dataset", "step": "3", "more/rows": "2"}
        assert about["net"] == {"type": "model", "step": "4"}
        stored = BACKEND.read(tmp_path).media
        assert stored["data"][0].what == stored["net"][0].what == b"a.txt"
        (up,) = (name for name in entries if name.startswith(".._up-"))
        assert stored[up][0].what == {"a.txt": b"a.txt", "deep/b.bin": b"deep/b.bin"}
        for entry in entries.values():
            assert Path(entry["uri"]).resolve().is_relative_to(session.resolve() / "data")

    def test_further_arguments(self, tmp_path: Path) -> None:
        """Unknown ones raise; those of values beside media stay with the values."""
        tracker = self.started()
        with pytest.raises(TypeError, match="no_such"):
            tracker.log_images({"odd": PIXELS}, step=1, no_such=1)
        with pytest.raises(TypeError, match="no_such"):
            tracker.log_table("odd", ["a"], [[1]], step=1, no_such=1)
        tracker.finish()
        assert not BACKEND.read(tmp_path).media

    @pytest.mark.parametrize("method", ["report_image", "report_media", "report_table"])
    @pytest.mark.parametrize("place", [0, 1, 2])
    def test_a_lost_connection_at_any_call(self, tmp_path: Path, method: str, place: int) -> None:
        """The batch is given again, and each medium is stored once."""
        tracker = self.started()
        kinds = {"i": Image(PIXELS), "t": media.Table([[1]], ["a"]), "x": media.Text("t")}
        batch = [Metrics(i, 1.7e9, {**given(kinds, tmp_path), "loss": i / 4}, i) for i in range(3)]
        logger = type(tracker.tracker.get_logger())
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(logger, method, lost_at(place, getattr(logger, method)))
            with pytest.raises(ConnectionError, match="lost"):
                tracker.log_batch(batch)
            tracker.log_batch(batch)
        tracker.finish()
        stored = BACKEND.read(tmp_path)
        assert stored.metrics["loss:loss"] == [(i, i / 4) for i in range(3)]
        for name in kinds:
            assert [seen.step for seen in stored.media[name]] == [0, 1, 2], name

    def test_a_task_that_the_program_has_closed(self) -> None:
        """ClearML would take media for it in silence; delivery stops instead."""
        import clearml

        Process(clearml).tune()
        own = clearml.Task.init("own", "mine", auto_connect_frameworks=False, auto_connect_arg_parser=False)
        tracker = self.started()
        own.close()
        with pytest.raises(EndedError, match="has closed it"):
            tracker.log_images({"x": PIXELS}, step=1)
        tracker.finish()


def _matplotlib() -> Any:
    from matplotlib.figure import Figure

    return Figure(figsize=(1, 1), dpi=50)
