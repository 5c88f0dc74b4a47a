"""SwanLab offline, read back with the reader that `swanlab sync` uses."""

import math
import os
import shutil
import socket
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import swanlab
from google.protobuf.timestamp_pb2 import Timestamp
from PIL import Image
from swanlab.exceptions import AuthenticationError
from swanlab.sdk.internal.probe_python.monitor.builder import build_probe_scalar

from accel_track import Accelerator
from accel_track.errors import EndedError, HalfStoredError, MadeWayError, NotStartedError
from accel_track.records import Metrics
from accel_track.trackers.swanlab.fast import Rows, Threads
from accel_track.trackers.swanlab.tracker import SwanLabTracker
from tests.support.readers.swanlab import QUICK, SwanLabContract, records
from tests.support.waiting import until


class TestSwanLab(SwanLabContract):
    def test_steps_in_any_order(self, tmp_path: Path) -> None:
        """Values arrive with their steps when evaluation goes back; the second of a step is counted and named."""
        steps = [1, 3, 0, 5, 7, 2]
        tracker, stored = self.written(tmp_path, *[({"m": float(i)}, step) for i, step in enumerate(steps)])
        assert stored.metrics["m"] == [(step, float(i)) for i, step in enumerate(steps)]
        assert not tracker.dropped

    def test_a_second_value_of_a_step_is_counted(self, tmp_path: Path) -> None:
        """SwanLab keeps the first value silently, so the tracker counts the others; other names have room."""
        tracker = self.make(tmp_path)
        tracker.start()
        tracker.log({"m": 1.0}, step=3)
        with pytest.warns(UserWarning, match="'m'.*first value of a step"):
            tracker.log({"m": 2.0, "n": 3.0}, step=3)
        tracker.log({"m": 4.0})
        tracker.finish()
        assert tracker.dropped == {"m": 1}
        assert self.read(tmp_path).metrics == {"m": [(3, 1.0), (4, 4.0)], "n": [(3, 3.0)]}

    def test_a_step_that_swanlab_refuses_later_is_counted(self, tmp_path: Path) -> None:
        """Such as nanoseconds; SwanLab's thread would only print that it has lost the value."""
        tracker = self.make(tmp_path)
        tracker.start()
        tracker.log({"m": 1.0}, step=2**48)
        with pytest.warns(UserWarning, match="'m'.*no step beyond 281,474,976,710,656"):
            tracker.log({"m": 2.0}, step=2**48 + 1)
        tracker.finish()
        assert tracker.dropped == {"m": 1}
        assert self.read(tmp_path).metrics == {"m": [(2**48, 1.0)]}

    def test_a_name_has_one_kind_of_value(self, tmp_path: Path) -> None:
        """A text under a number's name is counted; SwanLab would refuse it in the background."""
        tracker = self.make(tmp_path)
        tracker.start()
        tracker.log({"m": 1.0}, step=0)
        with pytest.warns(UserWarning, match="'m'.*as number already"):
            tracker.log({"m": "text"}, step=1)
        tracker.finish()
        assert tracker.dropped == {"m": 1}
        assert self.read(tmp_path).metrics == {"m": [(0, 1.0)]}

    def test_texts_that_look_like_numbers(self, tmp_path: Path) -> None:
        """A string stays text; SwanLab itself would make a number of it."""
        _, stored = self.written(tmp_path, ({"t": "1e3", "other": "hello\n世界"}, 2))
        assert stored.texts == {"t": ["1e3"], "other": ["hello\n世界"]}
        assert not stored.metrics

    def test_names_that_swanlab_changes(self, tmp_path: Path) -> None:
        """Names whose ends SwanLab strips, and those of its own metrics, become names of their own."""
        names = ["up", "../up", "up/", " up", "", ".", "__swanlab__.up", "a\nb", "a_b", "y" * 600, "y" * 601, "y" * 512]
        tracker, stored = self.written(tmp_path, ({name: float(i) for i, name in enumerate(names)}, 0))
        assert sorted(value for ((_, value),) in stored.metrics.values()) == [float(i) for i in range(len(names))]
        assert stored.metrics["up"] == [(0, 0.0)]
        assert stored.metrics["y" * 512] == [(0, 11.0)]
        assert not tracker.dropped

    def test_sdk_objects_pass_through(self, tmp_path: Path) -> None:
        """SwanLab's media objects, charts and lists of them are logged; what SwanLab refuses is counted."""
        table = swanlab.echarts.Table()
        table.add(["a"], [[1]])
        good = {"t": swanlab.Text("x"), "l": [swanlab.Text("a"), swanlab.Text("b")], "chart": table}
        bad = {"list": [1, 2], "mixed": [swanlab.Text("a"), table], "none": None, "empty": []}
        tracker = self.make(tmp_path)
        tracker.start()
        with pytest.warns(UserWarning, match="'(list|mixed|none|empty)'"):
            tracker.log({**good, **bad, "n": 1.0}, step=0)
        tracker.finish()
        assert tracker.dropped == dict.fromkeys(bad, 1)
        stored = self.read(tmp_path)
        assert stored.texts == {"t": ["x"], "l": ["a", "b"]}
        assert stored.metrics == {"n": [(0, 1.0)]}
        (path,) = tmp_path.rglob("*.swanlab")
        assert "chart" in [record.media.key for record in records(path) if record.HasField("media")]

    def test_native_images_in_lists(self, tmp_path: Path) -> None:
        """`swanlab.Image` objects, alone or beside arrays, are stored as they are; keyword arguments make new ones."""
        tracker = self.make(tmp_path)
        tracker.start()
        native = swanlab.Image(np.zeros((4, 3)))
        tracker.log_images({"mixed": [native, np.zeros((3, 6, 5))], "one": native}, step=0, caption="c")
        tracker.finish()
        sizes = {name: [one.what.shape[:2] for one in seen] for name, seen in self.read(tmp_path).media.items()}
        assert sizes == {"mixed": [(4, 3), (6, 5)], "one": [(4, 3)]}
        (path,) = tmp_path.rglob("*.swanlab")
        media = {record.media.key: record.media for record in records(path) if record.HasField("media")}
        assert [item.caption for item in media["mixed"].value.items] == ["", "c"]

    def test_pixels_are_what_was_given(self, tmp_path: Path) -> None:
        """Neither the order of channels nor the range of values changes."""
        pixels = np.array([[[10, 20, 30], [40, 50, 60]]], np.uint8)
        tracker = self.make(tmp_path)
        tracker.start()
        tracker.log_images({"a": pixels})
        tracker.finish()
        (path,) = tmp_path.rglob("*.png")
        assert np.asarray(Image.open(path)).tolist() == pixels.tolist()

    def test_configuration_has_only_what_was_given(self, tmp_path: Path) -> None:
        """Nothing of the call leaks into the config; None is not an empty dictionary, a changed value is the last."""
        tracker = self.make(tmp_path)
        tracker.start()
        tracker.store_init_configuration({"none": None, "inner": {"none": None}, "lr": 0.1})
        tracker.store_init_configuration({"lr": 0.2})
        tracker.finish()
        assert self.read(tmp_path).config == {"none": "None", "inner": {"none": None}, "lr": 0.2}

    def test_a_second_run_in_the_process(self, tmp_path: Path) -> None:
        """The first one's run is finished for it, and takes nothing from then on; `finish` of it changes nothing."""
        one, other = self.make(tmp_path / "one"), self.make(tmp_path / "other")
        one.start()
        one.log({"m": 1.0}, step=0)
        one.flush()
        other.start()
        with pytest.raises(MadeWayError, match="accel-track sync"):
            one.log_batch([Metrics(0, 1.7e9, {"m": 3.0}, 3)])
        one.finish()
        other.log({"m": 2.0}, step=0)
        other.finish()
        assert self.read(tmp_path / "one").metrics == {"m": [(0, 1.0)]}
        assert self.read(tmp_path / "other").metrics == {"m": [(0, 2.0)]}

    @pytest.mark.long
    def test_trials_that_nobody_finishes(self, tmp_path: Path) -> None:
        """Each is a run of its own, with all its values, though none is finished before the next begins."""
        trials = [Accelerator(log_with="swanlab", project_dir=tmp_path / str(number)) for number in range(3)]
        for number, trial in enumerate(trials):
            trial.init_trackers("sweep", config={"trial": number}, init_kwargs={"swanlab": QUICK})
            for step in range(20):
                trial.log({"m": float(number)}, step=step)
        for trial in trials:
            trial.end_training()
        for number in range(3):
            stored = self.read(tmp_path / str(number))
            assert stored.config["trial"] == number
            assert stored.metrics["m"] == [(step, float(number)) for step in range(20)]

    def test_the_programs_own_run_is_left_alone(self, tmp_path: Path) -> None:
        """A tracker cannot start beside it, unless it is told to end it; one of a tracker that is gone is ended."""
        mine = swanlab.init(project="mine", log_dir=str(tmp_path / "mine"), **QUICK)
        tracker = self.make(tmp_path / "ours")
        with pytest.raises(RuntimeError, match="reinit=True"):
            tracker.start()
        assert mine.alive
        assert not tracker.started
        mine.finish()
        tracker.start()
        left, tracker.native = tracker.native, None
        tracker.start()
        assert not left.alive
        tracker.finish()

    def test_what_the_thread_cannot_write(self, tmp_path: Path) -> None:
        """SwanLab says so in its own log only; here neither a flush nor the end passes for having stored it."""
        tracker = self.make(tmp_path)
        tracker.start()
        store = tracker.tracker._core._store
        tracker.log({"m": 1.0}, step=0)
        write, file = store._fp.write, store._fp

        def full(_: bytes) -> None:
            raise OSError(28, "No space left on device")

        store._fp = SimpleNamespace(write=full, flush=file.flush, close=file.close)
        tracker.log({"m": 2.0}, step=1)
        until(lambda: tracker.fast(Threads).fast.lost is not None)
        store._fp = SimpleNamespace(write=write, flush=file.flush, close=file.close)
        for call in (tracker.flush, tracker.finish):
            with pytest.raises(HalfStoredError, match="No space left"):
                call()

    def test_a_tracker_whose_run_another_one_ended(self, tmp_path: Path) -> None:
        """With `reinit=True` the second tracker ends the first's run; finishing the first changes nothing."""
        one = self.make(tmp_path / "one")
        other = SwanLabTracker("p", log_dir=str(tmp_path / "two"), reinit=True, **QUICK)
        one.start()
        other.start()
        one.finish()
        other.log({"m": 2.0}, step=0)
        other.finish()
        assert self.read(tmp_path / "two").metrics == {"m": [(0, 2.0)]}

    def test_a_run_that_the_program_finishes(self, tmp_path: Path) -> None:
        """It takes nothing afterwards; delivery stops instead of trying again."""
        tracker, file = self.make(tmp_path), tmp_path / "file.txt"
        file.write_text("x")
        tracker.start()
        tracker.log({"m": 1.0}, step=0)
        swanlab.finish()
        for call in (
            lambda: tracker.log({"m": 2.0}, step=1),
            lambda: tracker.log_images({"picture": np.zeros((2, 2, 3), np.uint8)}, step=1),
            lambda: tracker.log_artifact(file),
            lambda: tracker.store_init_configuration({"lr": 0.1}),
        ):
            with pytest.raises(EndedError, match="the program has finished it"):
                call()
        tracker.finish()
        assert not tracker.dropped
        assert self.read(tmp_path).metrics == {"m": [(0, 1.0)]}

    def test_files_that_somebody_deletes(self, tmp_path: Path) -> None:
        """SwanLab writes on to a deleted file, so nothing counts as stored."""
        tracker = self.make(tmp_path)
        tracker.start()
        tracker.log({"m": 1.0}, step=0)
        tracker.flush()
        shutil.rmtree(tracker.tracker.dir)
        tracker.log_images({"picture": np.zeros((2, 2, 3), np.uint8)}, step=1)  # makes the folder again
        with pytest.raises(EndedError, match="deleted or moved the run's files"):
            tracker.flush()
        with pytest.raises(EndedError, match="deleted or moved"):
            tracker.finish()

    def test_whole_life_in_a_worker_thread(self, tmp_path: Path, in_worker: Callable[..., Any]) -> None:
        """Start, log and finish work off the main thread."""
        stored = in_worker(lambda: self.written(tmp_path, ({"m": 1.0}, 7))[1])
        assert stored.metrics == {"m": [(7, 1.0)]}

    def test_finishing_in_a_worker_thread(self, tmp_path: Path, in_worker: Callable[..., Any]) -> None:
        """A run started on the main thread can end on another one, and the next run can start."""
        tracker = self.make(tmp_path / "one")
        tracker.start()
        tracker.log({"m": 1.0}, step=7)
        in_worker(tracker.finish)
        assert self.read(tmp_path / "one").metrics == {"m": [(7, 1.0)]}
        _, stored = self.written(tmp_path / "two", ({"m": 1.0}, 7))
        assert stored.metrics == {"m": [(7, 1.0)]}

    def test_what_the_monitor_of_the_machine_writes_tears_no_record(self, tmp_path: Path) -> None:
        """SwanLab's threads write to one file; each record of either is in it, whole."""
        tracker = self.make(tmp_path)
        tracker.start()
        core = tracker.tracker._core
        write = core._store._fp.write

        def slowly(data: bytes) -> None:
            write(data)
            time.sleep(0.0002)

        core._store._fp = SimpleNamespace(write=slowly, flush=core._store._fp.flush, close=core._store._fp.close)
        now = Timestamp(seconds=1)
        seen = [build_probe_scalar("cpu", value=0.5, step=step, timestamp=now) for step in range(300)]
        monitor = threading.Thread(target=lambda: [core.upsert_scalars([one]) for one in seen])
        monitor.start()
        for step in range(300):
            tracker.log({"m": 1.0}, step=step)
        monitor.join()
        tracker.finish()
        metrics = self.read(tmp_path).metrics
        assert {name: [step for step, _ in values] for name, values in metrics.items()} == {
            "m": list(range(300)),
            seen[0].key: list(range(300)),
        }

    def test_starting_again_makes_a_new_run(self, tmp_path: Path) -> None:
        """A finished tracker takes no values until it is started again, and then takes the same steps again."""
        tracker = self.make(tmp_path)
        for runs in (1, 2):
            tracker.start()
            tracker.log({"m": 1.0}, step=1)
            tracker.finish()
            assert self.read(tmp_path).runs == runs
        with pytest.raises(NotStartedError, match="swanlab"):
            tracker.log({"m": 1.0}, step=1)
        assert not tracker.dropped

    def test_init_kwargs_reach_the_sdk(self, tmp_path: Path) -> None:
        """The constructor's keyword arguments go to `swanlab.init` and win over what is derived."""
        kwargs = {"project": "other", "experiment_name": "mine", "tags": ["a"], "logdir": str(tmp_path / "mine")}
        tracker = SwanLabTracker.for_run("digits", "run", tmp_path / "given", kwargs)
        tracker.start()
        tracker.finish()
        (path,) = tmp_path.rglob("*.swanlab")
        assert path.is_relative_to(tmp_path / "mine")
        start = next(record.start for record in records(path) if record.HasField("start"))
        assert (start.project, start.name, list(start.tags)) == ("other", "mine", ["a"])

    def test_the_environment_wins_over_the_directory(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """`SWANLAB_LOG_DIR` and its old name are left to SwanLab."""
        given = {"log_dir": os.path.join("given", "swanlog")}
        assert SwanLabTracker.for_run("p", None, "given", {}).init_kwargs == given
        for variable in ("SWANLAB_LOG_DIR", "SWANLAB_LOGDIR"):
            with monkeypatch.context() as patch:
                patch.setenv(variable, "elsewhere")
                assert SwanLabTracker.for_run("p", None, "given", {}).init_kwargs == {}

    @pytest.mark.parametrize("known", [True, False])
    def test_a_batch_is_what_run_log_makes_of_it(
        self, known: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Numbers, texts and odd names have the steps and the order that `Run.log` gives them, also without steps."""
        values = {"f": 1 / 3, "nan": math.nan, "inf": math.inf, "e": 1e22, "tiny": 5e-324, "int": 7, "ü/0": 1.5}
        batch = [Metrics(i, 1.7e9 + i, dict(values, f=i / 3, g={"h": True}), i) for i in range(30)]
        batch[10] = Metrics(10, 1.7e9, {"f": 0.5, "text": "some", " odd/": 1.0, "x" * 600: 2.0}, 10)
        batch[15] = Metrics(15, 1.7e9, {"f": 0.25, "none": None}, None)
        batch[16] = Metrics(16, 1.7e9, {"f": 0.75, "m": 1.0}, None)
        batch[17] = Metrics(17, 1.7e9, {"f": 0.75, "n": 1.0}, 3)
        found = []
        for place in ("together", "alone"):
            tracker = self.make(tmp_path / place)
            tracker.start()
            with warnings.catch_warnings(record=True):
                warnings.simplefilter("always")
                if place == "alone" or not known:
                    tracker.fast(Rows).close()
                if place == "together":
                    tracker.log_batch(batch)
                else:
                    for one in batch:
                        tracker.log(one.values, step=one.step)
            tracker.finish()
            stored = self.read(tmp_path / place)
            found.append((repr(stored.metrics), stored.texts, tracker.dropped))
        assert found[0] == found[1]
        assert found[0][2] == {"none": 1, "f": 1}


class TestNotConfigured:
    @pytest.fixture(autouse=True)
    def _nothing_set(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        for variable in [name for name in os.environ if name.startswith("SWANLAB_")]:
            monkeypatch.delenv(variable)
        monkeypatch.setenv("HOME", str(tmp_path))

    def test_nothing_is_set(self) -> None:
        missing = SwanLabTracker.not_configured({})
        assert missing is not None
        assert "SWANLAB_API_KEY" in missing
        assert "SWANLAB_MODE=offline" in missing

    @pytest.mark.parametrize(
        ("variable", "value"),
        [
            ("SWANLAB_API_KEY", "k"),
            ("SWANLAB_MODE", "offline"),
            ("SWANLAB_MODE", "local"),
            ("SWANLAB_MODE", "disabled"),
        ],
    )
    def test_variables(self, monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
        monkeypatch.setenv(variable, value)
        assert SwanLabTracker.not_configured({}) is None

    @pytest.mark.parametrize("mode", ["online", "cloud"])
    def test_an_argument_wins_over_the_environment(self, monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
        monkeypatch.setenv("SWANLAB_MODE", "offline")
        assert SwanLabTracker.not_configured({"mode": mode}) is not None

    @pytest.mark.parametrize(
        "kwargs",
        [
            {"mode": "offline"},
            {"mode": "disabled"},
            {"settings": swanlab.Settings(mode="local")},
            {"settings": swanlab.Settings(mode="online", api_key="k")},
        ],
    )
    def test_arguments(self, kwargs: dict[str, Any]) -> None:
        assert SwanLabTracker.not_configured(kwargs) is None

    @pytest.mark.parametrize("content", ["api_key: k", "mode: offline"])
    @pytest.mark.parametrize("place", [".swanlab/config.yaml", "cwd/.swanlab/config.yaml", "cwd/swanlab.yaml"])
    def test_settings_files(self, tmp_path: Path, place: str, content: str) -> None:
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).write_text(content)
        assert SwanLabTracker.not_configured({}) is None

    def test_the_login_file(self, tmp_path: Path) -> None:
        (tmp_path / ".swanlab").mkdir()
        (tmp_path / ".swanlab" / ".netrc").write_text(
            "machine https://api.swanlab.cn\n  login https://swanlab.cn\n  password k\n"
        )
        assert SwanLabTracker.not_configured({}) is None

    def test_settings_merged_in_this_process(self, on_terminal: Callable[[str], str]) -> None:
        code = (
            "import swanlab; from accel_track.trackers.swanlab.tracker import SwanLabTracker as T\n"
            "assert T.not_configured({}) is not None\n"
            "swanlab.merge_settings(swanlab.Settings(mode='offline'))\n"
            "print('NOW', T.not_configured({}))\n"
        )
        assert "NOW None" in on_terminal(code)


def test_nothing_is_asked_on_a_terminal(on_terminal: Callable[[str], str]) -> None:
    """Without credentials `start` raises at once what to set, where SwanLab itself would wait for a choice."""
    code = (
        "from accel_track.trackers.swanlab.tracker import SwanLabTracker\n"
        "from accel_track.errors import NotConfiguredError\n"
        "try:\n    SwanLabTracker('p').start()\n"
        "except NotConfiguredError as error:\n    print('RAISED', error)\n"
    )
    shown = on_terminal(code)
    assert "RAISED swanlab: no credentials" in shown
    assert "SWANLAB_API_KEY" in shown
    assert "SWANLAB_MODE=offline" in shown


def test_a_start_that_fails_leaves_nothing_open(tmp_path: Path) -> None:
    """A project's name that SwanLab does not take raises its own error, and the tracker is not started."""
    tracker = SwanLabTracker("a name", log_dir=str(tmp_path))
    with pytest.raises(ValueError, match="project"):
        tracker.start()
    assert not tracker.started


def test_an_unreachable_server_may_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """SwanLab raises one error for a dead network and for a wrong key; the tracker looks which one it is."""
    tracker = SwanLabTracker("p", mode="online")
    error = AuthenticationError("Failed to initialize the SwanLab client.")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setenv("SWANLAB_API_HOST", f"http://127.0.0.1:{listener.getsockname()[1]}")
        assert not tracker.is_transient(error)
    assert tracker.is_transient(error)
    assert not tracker.is_transient(ValueError("another"))
