"""ClearML, read back from the files of its offline sessions."""

import contextlib
import gc
import json
import math
import os
import signal
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import clearml
import numpy as np
import pytest
from clearml import Task
from clearml.backend_api.session.defs import MissingConfigError
from clearml.backend_interface.metrics.events import ScalarEvent
from clearml.backend_interface.metrics.reporter import Reporter
from PIL import Image

from accel_track import Accelerator
from accel_track.errors import AccelTrackWarning, EndedError, HalfStoredError, NotConfiguredError, NotStartedError
from accel_track.records import Metrics
from accel_track.trackers.clearml.fast import Scalars, Tasks
from accel_track.trackers.clearml.process import Process
from accel_track.trackers.clearml.tracker import ClearMLTracker
from accel_track.trackers.fast import FastPath, Gate
from accel_track.trackers.tensorboard.tracker import TensorBoardTracker
from tests.support.readers.clearml import ClearMLContract, cache, events, sessions  # noqa: F401 - a fixture


def report_scalar(reporter: Reporter, title: str, series: str, value: float, iter: int) -> None:  # noqa: A002 - theirs
    """Report a scalar as another version of ClearML might."""
    reporter._report_service.add_event(ScalarEvent(title, series, value, iter))


def failing(method: Callable[..., Any], place: int) -> Callable[..., Any]:
    """Return a method whose call of that number loses the connection, before it does anything."""
    calls = iter(range(10**6))

    def called(*args: Any, **kwargs: Any) -> Any:
        if next(calls) == place:
            message = "lost"
            raise ConnectionError(message)
        return method(*args, **kwargs)

    return called


class TestClearML(ClearMLContract):
    @pytest.mark.parametrize("public", [False, True])
    def test_a_lost_connection_at_any_call_of_a_batch(self, public: bool, tmp_path: Path) -> None:
        """The batch is given again, and each of its values is stored once, in its order."""
        tracker = self.make(tmp_path)
        tracker.start()
        if public:
            tracker.fast(Scalars).close()
            owner: Any = tracker.tracker.get_logger()
            name = "report_scalar"
        else:
            owner, name = type(tracker.tracker._reporter), "_report"
        for begin in range(0, 100, 5):
            batch = [Metrics(i, 1.7e9 + i, {"m": float(i)}, i) for i in range(begin, begin + 5)]
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(owner, name, failing(getattr(owner, name), begin // 5 % 5))
                with pytest.raises(ConnectionError):
                    tracker.log_batch(batch)
            tracker.log_batch(batch[:2])
            tracker.log_batch(batch[2:])
        tracker.finish()
        assert self.read(tmp_path).metrics == {"m:m": [(i, float(i)) for i in range(100)]}

    def test_titles_and_series(self, tmp_path: Path) -> None:
        """Splits of one value share a plot, in any spelling; other names are split at their last "/"."""
        places = {
            "train_loss": "loss:train",
            "test/acc": "acc:test",
            "f1/validation": "f1:validation",
            "f1_eval": "f1:eval",
            "gpu/0/memory": "gpu/0:memory",
            "lr": "lr:lr",
            "train": "train:train",
            "training_time": "training_time:training_time",
            "/a": "/a:/a",
            "a/": "a/:a/",
            "Summary/x": "Summary/x:Summary/x",
        }
        _, stored = self.written(tmp_path, ({name: i for i, name in enumerate(places)}, 4))
        assert stored.metrics == {place: [(4, float(i))] for i, place in enumerate(places.values())}

    def test_names_that_would_share_a_series(self, tmp_path: Path) -> None:
        """Two spellings of one value stay two series, over several calls."""
        names = ["val/loss", "val_loss", "loss/val", "loss_val", "a/a", "a", "a/b", "val/a", "val/val", "val"]
        _, stored = self.written(tmp_path, *[({name: i for i, name in enumerate(names)}, step) for step in (0, 1)])
        assert sorted(stored.metrics.values()) == [[(0, float(i)), (1, float(i))] for i in range(len(names))]
        assert stored.metrics["loss:val"] == [(0, 0.0), (1, 0.0)]

    def test_single_values(self, tmp_path: Path) -> None:
        """A number without a step is a single value, which no step is mistaken for."""
        _, stored = self.written(tmp_path, ({"loss": 0.5}, None), ({"loss": 0.25}, 0))
        assert stored.metrics == {"loss:loss": [(None, 0.5), (0, 0.25)]}

    def test_batches_are_stored_as_clearml_stores_single_values(self, tmp_path: Path) -> None:
        """A batch's events are those of `Logger.report_scalar`, and ClearML knows the last step and the plots."""
        calls: list[tuple[dict[str, Any], int | None]] = [({"a/b": i, "val_c": i / 3}, i) for i in range(50)]
        calls += [({"a/b": 1.5}, 7), ({"end": 2.0}, None)]
        tracker = self.make(tmp_path)
        tracker.start()
        task = tracker.tracker
        tracker.log_batch([Metrics(i, 1.6e9 + i, values, step) for i, (values, step) in enumerate(calls)])
        told = [(task.get_last_iteration(), set(task.get_logger()._get_used_title_series()))]
        logger = task.get_logger()
        for values, step in calls:
            for key, value in values.items():
                place = {"a/b": ("a", "b"), "val_c": ("c", "val")}.get(key)
                if place is None:
                    logger.report_single_value(key, value)
                else:
                    logger.report_scalar(*place, value, step)
        told.append((task.get_last_iteration(), set(logger._get_used_title_series())))
        tracker.finish()
        (session,) = sessions(tmp_path)
        scalars = [event for event in events(session) if not event["metric"].startswith(":monitor:")]
        times = [event.pop("timestamp") for event in scalars]
        assert scalars[: len(scalars) // 2] == scalars[len(scalars) // 2 :]
        assert times[:3] == [1.6e12, 1.6e12, 1.6e12 + 1000]
        assert told[0] == told[1] == (49, {"a", "c", "Summary"})

    @pytest.mark.parametrize("known", [True, False], ids=["known", "other version"])
    def test_a_refused_call_among_many(self, tmp_path: Path, known: bool, monkeypatch: pytest.MonkeyPatch) -> None:
        """Only that one is quarantined; nothing is doubled and the order is kept, also where ClearML is not as known."""
        if not known:
            monkeypatch.delattr(Reporter, "_report")
            monkeypatch.setattr(Reporter, "report_scalar", report_scalar)
        tracker = self.make(tmp_path)
        with warnings.catch_warnings():
            warnings.filterwarnings("error" if known else "ignore", category=AccelTrackWarning)
            tracker.start()
        assert (tracker.fast(Scalars).fast is not None) is known
        records = [Metrics(i, 1.6e9 + i, {"x": i / 4, "bad": math.nan}, i) for i in range(100)]
        records[40] = Metrics(40, 1.6e9 + 40, {"x": 10.0}, 40, {"clearml": {"unknown": 1}})
        refused = []

        def send(part: list[Metrics]) -> None:
            try:
                tracker.log_batch(part)
            except (TypeError, ValueError):
                if len(part) == 1:
                    refused.append(part[0])
                    return
                send(part[: len(part) // 2])
                send(part[len(part) // 2 :])

        with pytest.warns(AccelTrackWarning, match="'bad'"):
            send(records)
        tracker.finish()
        assert refused == [records[40]]
        assert tracker.dropped == {"bad": 99}
        assert self.read(tmp_path).metrics == {"x:x": [(i, i / 4) for i in range(100) if i != 40]}

    def test_all_images_are_kept(self, tmp_path: Path) -> None:
        """ClearML's default would overwrite the first of six."""
        tracker = self.make(tmp_path)
        tracker.start()
        for step in range(6):
            tracker.log_images({"x/y": [[0.0, step / 5]]}, step=step)
        tracker.finish()
        (session,) = sessions(tmp_path)
        urls = {event["url"] for event in events(session) if event["type"] == "training_debug_image"}
        assert len(urls) == 6

    @pytest.mark.parametrize("channels", [1, 3, 4])
    def test_pixels_are_stored_as_given(self, channels: int, tmp_path: Path) -> None:
        """Also transparent ones, which ClearML's own thread would fail to write, and leave out."""
        picture = np.random.default_rng(0).integers(0, 256, (9, 7, channels), dtype=np.uint8)
        tracker = self.make(tmp_path)
        tracker.start()
        tracker.log_images({"one": picture, "two": [picture, picture]}, step=3)
        tracker.flush()
        tracker.finish()
        (session,) = sessions(tmp_path)
        stored = [event for event in events(session) if event["type"] == "training_debug_image"]
        assert [(event["metric"], event["variant"], event["iter"]) for event in stored] == [
            ("one", "one", 3),
            ("two", "two/0", 3),
            ("two", "two/1", 3),
        ]
        for event in stored:
            file = next(tmp_path.rglob(event["url"].rpartition("/")[2]))
            with Image.open(file) as image:
                assert image.format == "PNG"
                assert (np.asarray(image).reshape(picture.shape) == picture).all()

    @pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
    @pytest.mark.parametrize("what", ["values", "image"])
    def test_what_clearml_fails_to_store_in_its_thread_is_not_delivered(
        self, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its log alone tells it; the flush says so, and the cursor stays where it is."""
        tracker = self.make(tmp_path)
        tracker.start()
        tracker.log({"loss": 0.5}, step=0)
        tracker.flush()
        (session,) = sessions(tmp_path)
        if what == "values":
            (session / "metrics.jsonl").rename(session / "kept.jsonl")
            (session / "metrics.jsonl").mkdir()
            tracker.log({"loss": 0.25}, step=1)
        else:
            monkeypatch.setattr(tracker.samples, "file", lambda *_, **__: str(tmp_path / "gone.png"))
            tracker.log_images({"x": [[0.0, 1.0]]}, step=1)
        with pytest.raises(HalfStoredError, match="clearml: ClearML has not stored everything"):
            tracker.flush()
        monkeypatch.undo()
        with contextlib.suppress(HalfStoredError):  # its thread is gone for good
            tracker.finish()

    @pytest.mark.parametrize("moment", ["at the start", "in mid-run"])
    def test_without_a_private_part_for_scalars(
        self, moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each value is stored once, by ClearML's public call from there on, which one warning says."""

        def rename() -> None:
            monkeypatch.delattr(Reporter, "_report")
            monkeypatch.setattr(Reporter, "report_scalar", report_scalar)

        tracker = self.make(tmp_path)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            if moment == "at the start":
                rename()
            tracker.start()
            tracker.log_batch([Metrics(i, 1e9 + i, {"x": i / 4}, i) for i in range(5)])
            if moment == "in mid-run":
                rename()
            tracker.log_batch([Metrics(i, 1e9 + i, {"x": i / 4}, i) for i in range(5, 10)])
            monkeypatch.undo()
            tracker.finish()
        (unknown,) = (str(one.message) for one in said if issubclass(one.category, AccelTrackWarning))
        assert "clearml is not as accel_track knows it (AttributeError" in unknown
        assert self.read(tmp_path).metrics == {"x:x": [(i, i / 4) for i in range(10)]}

    @pytest.mark.parametrize("part", [*Scalars.parts, *Scalars.attributes])
    def test_private_parts_are_looked_for_at_the_start(self, part: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """The way that needs them is closed without one of them."""
        names = "parts" if ":" in part else "attributes"
        monkeypatch.setattr(
            Scalars, names, tuple(f"{one}_renamed" if one == part else one for one in getattr(Scalars, names))
        )
        task = Task.init("contract", "run", auto_connect_frameworks=False, auto_connect_arg_parser=False)
        gate = Gate("clearml", Scalars)
        with pytest.warns(AccelTrackWarning, match="_renamed"):
            gate.open(task)
        assert gate.fast is None

    def test_a_task_that_the_program_has_closed(self, tmp_path: Path) -> None:
        """ClearML would take values for it in silence; delivery stops instead."""
        Process(clearml).tune()
        own = Task.init("own", "mine", auto_connect_frameworks=False, auto_connect_arg_parser=False)
        tracker = self.make(tmp_path)
        tracker.start()
        tracker.log({"x": 1.0}, step=0)
        tracker.flush()
        own.close()
        with pytest.raises(EndedError, match="has closed it"):
            tracker.log({"x": 2.0}, step=1)
        tracker.finish()
        assert self.read(tmp_path).metrics == {"x:x": [(0, 1.0)]}

    def test_a_surprise_in_the_middle_of_a_batch(self, tmp_path: Path) -> None:
        """What may be stored in part is neither repeated nor refused."""
        tracker = self.make(tmp_path)
        tracker.start()
        assert tracker.fast(Scalars).fast is not None
        tracker.fast(Scalars).fast._touch = {"y": 1}.__getitem__  # takes one argument
        with (
            pytest.warns(AccelTrackWarning, match="public calls"),
            pytest.raises(HalfStoredError, match="stored already"),
        ):
            tracker.log_batch([Metrics(i, 1e9 + i, {"x": i / 4}, i) for i in range(5)])
        tracker.log_batch([Metrics(9, 1e9, {"x": 9.0}, 9)])
        tracker.finish()
        assert self.read(tmp_path).metrics == {"x:x": [(9, 9.0)]}

    @pytest.mark.parametrize("path", [Process, Tasks])
    def test_without_the_private_parts_around_tasks(
        self, path: type[FastPath], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Values and hyperparameters are stored all the same, and one warning says what is missing."""
        Process(clearml).tune()  # ClearML's reporting process would need minutes
        monkeypatch.setattr(path, "attributes", ("Task._renamed",))  # the SDK itself needs those of today
        tracker = self.make(tmp_path)
        with pytest.warns(AccelTrackWarning, match="_renamed") as said:
            tracker.start()
            tracker.store_init_configuration({"lr": 0.5})
            tracker.log({"x": 1.0}, step=0)
            tracker.delete_checkpoint("none")
            tracker.finish()
        assert len([one for one in said if issubclass(one.category, AccelTrackWarning)]) == 1
        stored = self.read(tmp_path)
        assert (stored.metrics, float(stored.config["lr"])) == ({"x:x": [(0, 1.0)]}, 0.5)

    def test_trials_that_nobody_finished(self, tmp_path: Path) -> None:
        """Each has a task of its own with its own hyperparameters and values, all of them, and is closed for the next."""
        runs = []
        for trial in range(3):
            accelerator = Accelerator(log_with="clearml", project_dir=tmp_path)
            accelerator.init_trackers("trials", config={"trial": trial})
            for step in range(20):
                accelerator.log({"loss": trial + step / 100}, step=step)
            runs.append(accelerator)
        runs[-1].end_training()
        stored = {}
        for session in sessions(tmp_path):
            task = json.loads((session / "task.json").read_text())
            values = [event["value"] for event in events(session) if event["metric"] == "loss"]
            stored[task["hyperparams"]["General"]["trial"]["value"]] = values
        assert stored == {str(trial): [trial + step / 100 for step in range(20)] for trial in range(3)}
        runs[0].log({"loss": 9.0}, step=20)
        with pytest.warns(AccelTrackWarning, match="one run a process"):
            runs[0].get_tracker("clearml")
        for one in runs[:2]:
            one.end_training()
        assert [len(events(session)) for session in sessions(tmp_path)] == [20] * 3

    def test_a_task_whose_tracker_is_gone(self, tmp_path: Path) -> None:
        """It is closed for the next one."""
        tracker = self.make(tmp_path)
        tracker.start()
        tracker.log({"loss": 0.5}, step=0)
        tracker.flush()
        del tracker
        gc.collect()
        tracker = self.make(tmp_path)
        tracker.start()
        tracker.log({"loss": 0.25}, step=0)
        tracker.finish()
        stored = [[e["value"] for e in events(one) if e["metric"] == "loss"] for one in sessions(tmp_path)]
        assert sorted(stored) == [[0.25], [0.5]]

    def test_no_reporting_process(self, tmp_path: Path) -> None:
        """Values are in the file after a flush, without a reporting process, whose end would take ten seconds."""
        tracker = self.make(tmp_path)
        tracker.start()
        for step in range(100):
            tracker.log({f"m{i}": i for i in range(10)}, step=step)
        tracker.flush()
        (session,) = sessions(tmp_path)
        assert len([event for event in events(session) if event["metric"].startswith("m")]) == 1000
        assert not tracker.tracker._reporter._report_service.is_subprocess_mode()
        tracker.finish()

    @pytest.mark.first(1)
    @pytest.mark.parametrize(("setting", "used"), [("", False), ("true", True), ("false", False)])
    def test_the_users_choice_of_reporter(
        self, setting: str, used: bool, tmp_path: Path, on_terminal: Callable[[str], str]
    ) -> None:
        """`clearml.conf` decides on the reporting process, and only without a word there it is left out."""
        lines = f"sdk {{ development {{ report_use_subprocess: {setting} }} }}" if setting else ""
        (tmp_path / "empty-home").mkdir()
        (tmp_path / "empty-home" / "clearml.conf").write_text(lines)
        shown = on_terminal(
            "import os, clearml\n"
            "from accel_track.trackers.clearml.process import Process\n"
            "Process(clearml).tune()\n"
            "print('used:', bool(clearml.Task._report_subprocess_enabled))\n"
        )
        assert f"used: {used}" in shown

    def test_a_task_of_the_users(self, tmp_path: Path) -> None:
        """A task that exists is used and stays open, also through the front door."""
        Process(clearml).tune()  # ClearML's reporting process needs minutes for this
        own = Task.init(
            project_name="own", task_name="mine", auto_connect_frameworks=False, auto_connect_arg_parser=False
        )
        for _ in range(2):
            tracker = self.make(tmp_path)
            tracker.start()
            assert tracker.tracker is own
            tracker.log({"loss": 0.5}, step=0)
            tracker.finish()
            assert Task.current_task() is own
        own.get_logger().report_scalar("own", "own", 1.0, 0)
        own.close()
        stored = self.read(tmp_path)
        assert (stored.project, stored.run_name, stored.runs) == ("own", "mine", 1)
        assert stored.metrics == {"loss:loss": [(0, 0.5), (0, 0.5)], "own:own": [(0, 1.0)]}

    def test_tasks_one_after_another(self, tmp_path: Path) -> None:
        """Each start is a task of its own, though the names are the same."""
        for value in (1.0, 2.0, 3.0):
            tracker = self.make(tmp_path)
            tracker.start()
            tracker.log({"loss": value}, step=0)
            tracker.finish()
        stored = [[e["value"] for e in events(one) if e["metric"] == "loss"] for one in sessions(tmp_path)]
        assert sorted(stored) == [[1.0], [2.0], [3.0]]

    def test_arguments_reach_the_task(self, tmp_path: Path) -> None:
        """Keyword arguments are those of `Task.init` and win over the names of the run."""
        tracker = ClearMLTracker.for_run("digits", "first", tmp_path, {"task_name": "own", "tags": ["a", "b"]})
        tracker.start()
        tracker.finish()
        (session,) = sessions(tmp_path)
        task = json.loads((session / "task.json").read_text())
        assert (task["project_name"], task["name"], sorted(task["tags"])) == ("digits", "own", ["a", "b"])

    def test_continuing_keeps_steps(self, tmp_path: Path) -> None:
        """A continued task stores steps as they are given."""
        first = self.make(tmp_path)
        first.start()
        task_id = first.tracker.id
        first.log({"loss": 0.5}, step=0)
        first.finish()
        again = ClearMLTracker("contract", continue_last_task=task_id)
        again.start()
        assert again.tracker.id == task_id
        again.log({"loss": 0.25}, step=1)
        again.finish()
        assert self.read(tmp_path).metrics == {"loss:loss": [(0, 0.5), (1, 0.25)]}

    def test_signal_handlers(self, tmp_path: Path) -> None:
        """The user's handlers are in place during the run and after it, also those set in between."""

        def own(*_: object) -> None:
            raise AssertionError

        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGSEGV, signal.SIGABRT)
        before = {number: signal.getsignal(number) for number in numbers}
        hook = sys.excepthook
        try:
            signal.signal(signal.SIGINT, own)
            tracker = self.make(tmp_path)
            tracker.start()
            during = {number: signal.getsignal(number) for number in numbers}
            signal.signal(signal.SIGABRT, own)
            tracker.finish()
            after = {number: signal.getsignal(number) for number in numbers}
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        assert during[signal.SIGINT] is own
        assert during[signal.SIGSEGV] == before[signal.SIGSEGV]
        assert after == {**before, signal.SIGINT: own, signal.SIGABRT: own}
        assert sys.excepthook is hook

    @pytest.mark.long
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_a_signal_ends_the_program(self, tmp_path: Path, number: signal.Signals) -> None:
        """SIGTERM ends the program, Ctrl-C is a KeyboardInterrupt after which everything logged is stored."""
        code = (
            "import signal\n"
            "from accel_track.trackers.clearml.tracker import ClearMLTracker\n"
            "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # ignored where a shell runs the tests behind
            "tracker = ClearMLTracker('contract', task_name='run')\n"
            "tracker.start()\n"
            "for step in range(500):\n    tracker.log({'loss': step}, step=step)\n"
            f"try:\n    signal.raise_signal({int(number)})\n"
            "finally:\n    tracker.finish()\n"
        )
        done = subprocess.run([sys.executable, "-c", code], timeout=60, check=False, capture_output=True)
        assert done.returncode == -number, done.stderr
        if number == signal.SIGINT:
            assert self.read(tmp_path).metrics["loss:loss"] == [(step, float(step)) for step in range(500)]
            assert len(list(tmp_path.glob("offline/*.zip"))) == 1

    def test_an_exit_that_was_caught(self, tmp_path: Path) -> None:
        """Values are stored after a `sys.exit` that the process outlived, before the task or during it."""
        code = (
            "import sys\n"
            "from accel_track.trackers.clearml.tracker import ClearMLTracker\n"
            "for name in ('first', 'second'):\n"
            "    tracker = ClearMLTracker('contract', task_name=name)\n    tracker.start()\n"
            "    tracker.log({'loss': 1}, step=0)\n"
            "    try:\n        sys.exit(2)\n    except SystemExit:\n        pass\n"
            "    tracker.log({'loss': 2}, step=1)\n    tracker.finish()\n"
        )
        subprocess.run([sys.executable, "-c", code], timeout=60, check=True)
        archives = [zipfile.ZipFile(path) for path in tmp_path.glob("offline/*.zip")]
        lines = [line for archive in archives for line in archive.read("metrics.jsonl").splitlines()]
        assert sorted(event["value"] for line in lines for event in json.loads(line)) == [1.0, 1.0, 2.0, 2.0]

    @pytest.mark.long
    def test_a_companion_has_a_task_of_its_own(self, tmp_path: Path) -> None:
        """It would join the program's, which may be closed while values are still on their way."""
        code = (
            "import accel_track\nfrom clearml import Task\nif __name__ == '__main__':\n"
            "    own = Task.init('own', 'mine', auto_connect_frameworks=False, auto_connect_arg_parser=False)\n"
            "    with accel_track.init('ours', 'clearml', run_name='r', delivery='process') as run:\n"
            "        run.log({'loss': 0.5}, 0)\n"
            "    own.close()\n"
        )
        Path("program.py").write_text(code)
        subprocess.run([sys.executable, "program.py"], timeout=100, check=True)
        with_loss = [one for one in sessions(tmp_path) if any(event.get("metric") == "loss" for event in events(one))]
        assert len(sessions(tmp_path)) == 2
        assert [json.loads((session / "task.json").read_bytes())["name"] for session in with_loss] == ["r"]

    def test_programs_started_later(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A program started after a task was closed, by us or the user, stores its own task."""
        code = (
            "from accel_track.trackers.clearml.tracker import ClearMLTracker\n"
            "tracker = ClearMLTracker('contract', task_name='child')\n"
            "tracker.start()\ntracker.log({'loss': 1}, step=0)\ntracker.finish()\n"
        )
        self.written(tmp_path, ({"loss": 0.5}, 0))
        assert "CLEARML_PROC_MASTER_ID" not in os.environ
        Task.init("own", "mine", auto_connect_frameworks=False, auto_connect_arg_parser=False).close()
        assert os.environ["CLEARML_PROC_MASTER_ID"] == f"{os.getpid()}:"
        monkeypatch.setenv("CLEARML_CACHE_DIR", str(tmp_path / "child"))
        subprocess.run([sys.executable, "-c", code], timeout=60, check=True)
        assert self.read(tmp_path / "child").metrics == {"loss:loss": [(0, 1.0)]}

    def test_beside_tensorboard(self, tmp_path: Path) -> None:
        """What another tracker writes is not captured a second time."""
        other = TensorBoardTracker("beside", tmp_path / "tensorboard")
        tracker = self.make(tmp_path)
        for one in (tracker, other):
            one.start()
        for one in (tracker, other):
            one.log({"loss": 0.5}, step=0)
        for one in (other, tracker):
            one.finish()
        assert self.read(tmp_path).metrics == {"loss:loss": [(0, 0.5)]}

    def test_in_a_worker_thread(self, tmp_path: Path, in_worker: Callable[[Callable[[], Any]], Any]) -> None:
        """The whole life may be in another thread, and the main thread's handlers are as before."""
        handler = signal.getsignal(signal.SIGTERM)
        _, stored = in_worker(lambda: self.written(tmp_path, ({"loss": 0.5}, 0)))
        assert stored.metrics == {"loss:loss": [(0, 0.5)]}
        assert signal.getsignal(signal.SIGTERM) == handler

    def test_after_finish(self, tmp_path: Path) -> None:
        """Nothing is taken after the end."""
        tracker, _ = self.written(tmp_path, ({"loss": 0.5}, 0))
        with pytest.raises(NotStartedError):
            tracker.log({"loss": 0.5}, step=1)

    def test_infinities_beside_numbers(self, tmp_path: Path) -> None:
        """No 0 takes the place of a NaN in a series."""
        with pytest.warns(AccelTrackWarning, match="would store nan as 0"):
            _, stored = self.written(tmp_path, *[({"x": v}, i) for i, v in enumerate((1.0, float("nan"), 2.0))])
        assert stored.metrics == {"x:x": [(0, 1.0), (2, 2.0)]}


class TestCredentials:
    @pytest.fixture(autouse=True)
    def online(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Take away what the tests' environment sets."""
        for name in [name for name in os.environ if name.startswith(("CLEARML_", "TRAINS_"))]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setattr(Task, "_offline_mode", False)

    def test_none(self) -> None:
        """The sentence names the keys, the command and the offline mode."""
        sentence = ClearMLTracker.not_configured({})
        assert sentence is not None
        for word in ("CLEARML_API_ACCESS_KEY", "clearml-init", "CLEARML_OFFLINE_MODE=1"):
            assert word in sentence

    @pytest.mark.parametrize(
        "variables",
        [
            {"CLEARML_API_ACCESS_KEY": "a", "CLEARML_API_SECRET_KEY": "s"},
            {"TRAINS_API_ACCESS_KEY": "a", "CLEARML_API_SECRET_KEY": "s"},
            {"CLEARML_AUTH_TOKEN": "t"},
            {"CLEARML_OFFLINE_MODE": "true"},
        ],
        ids=["both", "former", "token", "offline"],
    )
    def test_variables(self, variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
        """Keys, a token and the offline mode are found in the environment."""
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        assert ClearMLTracker.not_configured({}) is None

    @pytest.mark.parametrize(
        "variables",
        [{"CLEARML_API_ACCESS_KEY": "a"}, {"CLEARML_OFFLINE_MODE": "0"}, {"CLEARML_OFFLINE_MODE": "False"}],
        ids=["half", "zero", "false"],
    )
    def test_variables_of_no_use(self, variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
        """Half a pair of keys, and an offline mode switched off, are none."""
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        assert ClearMLTracker.not_configured({}) is not None

    @pytest.mark.parametrize("where", ["home", "CLEARML_CONFIG_FILE", "CLEARML_CONFIG_PATH"])
    @pytest.mark.parametrize(
        ("text", "enough"),
        [
            ('api {\n  credentials {"access_key" = "AAA", "secret_key" = "SSS"}\n}', True),
            ("api.credentials.access_key: AAA\napi.credentials.secret_key: SSS", True),
            ('api { credentials { "access_key" = "", "secret_key" = "" } }', False),
            ('# "access_key" = "AAA"\n// "secret_key" = "SSS"', False),
            ("sdk { development { report_use_subprocess: false } }", False),
        ],
        ids=["block", "dotted", "empty", "comment", "other"],
    )
    def test_files(self, where: str, text: str, enough: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Keys are found in each place of a configuration file."""
        file = tmp_path / ("clearml.conf" if where == "home" else "elsewhere/default/api.conf")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        if where == "CLEARML_CONFIG_FILE":
            monkeypatch.setenv(where, "~/elsewhere/default/api.conf")
        elif where == "CLEARML_CONFIG_PATH":
            monkeypatch.setenv(where, str(tmp_path / "elsewhere"))
        assert (ClearMLTracker.not_configured({}) is None) == enough

    def test_on_a_terminal(self, on_terminal: Callable[[str], str]) -> None:
        """Started on a terminal without credentials, it says what to set, and asks nothing."""
        shown = on_terminal(
            "from accel_track.errors import NotConfiguredError\n"
            "from accel_track.trackers.clearml.tracker import ClearMLTracker\n"
            "tracker = ClearMLTracker('digits')\n"
            "try:\n    tracker.start()\n"
            "except NotConfiguredError as error:\n    print('refused:', error, tracker.started)\n"
        )
        assert shown.startswith("refused: clearml: no credentials")
        assert "CLEARML_API_ACCESS_KEY" in shown
        assert "CLEARML_OFFLINE_MODE=1" in shown
        assert shown.rstrip().endswith("False")

    def test_what_only_the_sdk_sees(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """An offline mode switched on too late for ClearML is an error of the same kind."""
        monkeypatch.setenv("CLEARML_OFFLINE_MODE", "1")

        def refuse(**_: Any) -> None:
            raise MissingConfigError

        monkeypatch.setattr(Task, "init", refuse)
        tracker = ClearMLTracker("digits")
        with pytest.raises(NotConfiguredError, match="clearml"):
            tracker.start()
        assert not tracker.started


PROGRAM = """
import json, os, shutil, sys
from accel_track.outcome import Outcome
from accel_track.trackers.clearml.tracker import ClearMLTracker
from accel_track.trackers.fast import FastPath, Gate
tracker = ClearMLTracker('contract', **{'task_name': 'run', **json.loads(sys.argv[1])})
tracker.start()
def end():
    tracker.flush()
    print(json.dumps(tracker.identity()), flush=True)
    os.kill(os.getpid(), 9)
"""


class TestContinuing:
    """Programs one after another on one task, of which the first are killed."""

    @staticmethod
    def run(code: str, program: str = PROGRAM, **kwargs: Any) -> dict[str, Any]:
        """Run a program after `PROGRAM`, and return what `identity` was."""
        done = subprocess.run(
            [sys.executable, "-c", program + code, json.dumps(kwargs)],
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert done.returncode in (0, -9), done.stderr
        lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
        identity: dict[str, Any] = json.loads(lines[-1]) if lines else {}
        return identity

    @staticmethod
    def task(folder: Path) -> dict[str, Any]:
        """Return the only session's task, which its archive holds too."""
        (session,) = sessions(folder)
        stored: dict[str, Any] = json.loads((session / "task.json").read_text())
        if (archive := Path(f"{session}.zip")).exists():
            assert json.loads(zipfile.ZipFile(archive).read("task.json")) == stored
        return stored

    def properties(self, folder: Path) -> dict[str, str]:
        """Return the user properties."""
        found = self.task(folder).get("hyperparams", {}).get("properties", {})
        return {name: entry["value"] for name, entry in found.items()}

    def scalars(self, folder: Path) -> list[tuple[int, float]]:
        """Return step and value of what was logged as "loss", in the order stored."""
        (session,) = sessions(folder)
        return [(event["iter"], event["value"]) for event in events(session) if event["metric"] == "loss"]

    @pytest.mark.long
    def test_after_sigkill(self, tmp_path: Path) -> None:
        """One task with the values of all programs at their steps, all hyperparameters, and the last status."""
        identity = self.run(
            "tracker.store_init_configuration({'a': 1, 'b': 1})\n"
            "for step in range(3):\n    tracker.log({'loss': float(step)}, step=step)\nend()\n"
        )
        assert self.properties(tmp_path) == {}
        self.run(
            "tracker.log({'loss': 3.0}, step=3)\ntracker.outcome = Outcome('failed', 'ValueError: x')\n"
            "tracker.finish()\n",
            **identity,
        )
        assert self.properties(tmp_path) == {"status": "failed", "status_reason": "ValueError: x"}
        self.run("tracker.store_init_configuration({'b': 2})\ntracker.log({'loss': 4.0}, step=4)\nend()\n", **identity)
        (session,) = sessions(tmp_path)
        Path(f"{session}.zip").unlink()  # of the second program
        assert self.properties(tmp_path) == {"status": "running", "status_reason": ""}
        self.run("tracker.log({'loss': 5.0}, step=5)\ntracker.finish()\n", **identity)
        assert self.properties(tmp_path) == {"status": "finished", "status_reason": ""}
        assert self.scalars(tmp_path) == [(step, float(step)) for step in range(6)]
        general = self.task(tmp_path)["hyperparams"]["General"]
        assert {name: entry["value"] for name, entry in general.items()} == {"a": "1", "b": "2"}

    @pytest.mark.long
    def test_sigkill_while_clearml_writes_the_session(self, tmp_path: Path) -> None:
        """The session's file is what it was, and the next program adds to it."""
        identity = self.run("tracker.store_init_configuration({'a': 1})\nend()\n")
        self.run(
            "def cut_short(data, file, **kwargs):\n"
            "    file.write('{')\n"
            "    file.flush()\n"
            "    os.kill(os.getpid(), 9)\n"
            "json.dump = cut_short\n"
            "tracker.store_init_configuration({'b': 2})\n",
            **identity,
        )
        self.run("tracker.store_init_configuration({'c': 3})\ntracker.finish()\n", **identity)
        general = self.task(tmp_path)["hyperparams"]["General"]
        assert {name: entry["value"] for name, entry in general.items()} == {"a": "1", "c": "3"}

    @pytest.mark.first(1)
    @pytest.mark.parametrize("status", ["finished", "failed", "interrupted", "preempted"])
    def test_status(self, tmp_path: Path, status: str) -> None:
        """Each outcome is told apart, also after an exception that has nothing to do with it."""
        self.run(
            "try:\n    sys.exit(2)\nexcept SystemExit:\n    pass\n"
            f"tracker.outcome = Outcome({status!r}, None if {status!r} == 'finished' else 'why')\ntracker.finish()\n"
        )
        assert self.properties(tmp_path) == {"status": status, "status_reason": "" if status == "finished" else "why"}

    @pytest.mark.long
    def test_status_while_clearml_looks_at_the_repository(self, tmp_path: Path) -> None:
        """A thread of ClearML's that writes what it read before takes no status back."""
        self.run(
            "import threading, time, clearml\n"
            "from accel_track.outcome import Outcome\n"
            "from accel_track.trackers.clearml.tracker import ClearMLTracker\n"
            "reload, has_read = clearml.Task._reload, threading.Event()\n"
            "def slowly(task):\n"
            "    data = reload(task)\n"
            "    if threading.current_thread().name.endswith('(_update_repository)'):\n"
            "        has_read.set()\n"
            "        time.sleep(1)\n"
            "    return data\n"
            "clearml.Task._reload = slowly\n"
            "tracker = ClearMLTracker('contract', task_name='run')\n"
            "tracker.start()\n"
            "assert has_read.wait(30)\n"
            "tracker.outcome = Outcome('failed', 'why')\n"
            "tracker.finish()\n",
            program="",
        )
        assert self.properties(tmp_path) == {"status": "failed", "status_reason": "why"}

    @pytest.mark.long
    def test_rewinding(self, tmp_path: Path) -> None:
        """The values of before stay, and the new ones come with their steps."""
        identity = self.run("for step in range(3):\n    tracker.log({'loss': float(step)}, step=step)\nend()\n")
        self.run("tracker.rewind(1)\ntracker.log({'loss': -1.0}, step=1)\ntracker.finish()\n", **identity)
        assert self.scalars(tmp_path) == [(0, 0.0), (1, 1.0), (2, 2.0), (1, -1.0)]

    @pytest.mark.long
    def test_checkpoints(self, tmp_path: Path) -> None:
        """Files and folders that are deleted at once are stored; those replaced or deleted are gone, in any program."""
        save = (
            "def save(name, text, file='one.ckpt'):\n"
            "    os.makedirs('sharded/inner')\n"
            "    for part in ('sharded/meta', 'sharded/inner/0'):\n        open(part, 'w').write(text + part)\n"
            "    open(file, 'w').write(text)\n"
            "    tracker.log_checkpoint(name, file, 4, {'score': 0.5, 'more': {'best': True}})\n"
            "    tracker.log_checkpoint(name + '-sharded', 'sharded', None, {})\n"
            "    shutil.rmtree('sharded')\n    os.remove(file)\n"
        )
        identity = self.run(save + "save('epoch=1', 'old')\nsave('last', 'old', 'other.ckpt')\nend()\n")
        self.run(
            save + "save('epoch=2', 'gone')\ntracker.delete_checkpoint('epoch=2')\n"
            "tracker.delete_checkpoint('epoch=1')\ntracker.delete_checkpoint('unknown')\n"
            "save('last', 'newer')\nsave('last', 'new')\ntracker.finish()\n",
            **identity,
        )
        stored = {entry["key"]: entry for entry in self.task(tmp_path)["execution"]["artifacts"]}
        assert set(stored) == {"epoch=1-sharded", "epoch=2-sharded", "last", "last-sharded"}
        assert sorted(stored["last"]["display_data"]) == [["more/best", "True"], ["score", "0.5"], ["step", "4"]]
        assert Path(stored["last"]["uri"]).read_text() == "new"
        with zipfile.ZipFile(stored["last-sharded"]["uri"]) as archive:
            files = {name: archive.read(name).decode() for name in archive.namelist()}
        assert files == {"meta": "newsharded/meta", "inner/0": "newsharded/inner/0"}
        (session,) = sessions(tmp_path)
        kept = {path.as_posix() for path in session.rglob("data/**/artifacts/**/*") if path.is_file()}
        assert kept == {entry["uri"] for entry in stored.values()}

    def test_a_second_run_of_one_tracker(self, tmp_path: Path) -> None:
        """Names of plots that the first run had used up are free again."""
        self.run(
            "for name in ('val/loss', 'val_loss'):\n"
            "    tracker.start()\n    tracker.log({name: 1.0}, step=0)\n    tracker.finish()\n"
        )
        assert len(sessions(tmp_path)) == 2
        places = {(e["metric"], e["variant"]) for one in sessions(tmp_path) for e in events(one)}
        assert {place for place in places if not place[0].startswith(":")} == {("loss", "val")}
