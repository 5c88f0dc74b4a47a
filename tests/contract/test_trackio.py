"""Trackio's local store, read back from its SQLite file."""

import json
import math
import os
import sqlite3
import subprocess
import sys
import uuid
import warnings
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trackio
from trackio.context_vars import current_run

from accel_track.accelerator.facade import Accelerator
from accel_track.errors import AccelTrackWarning, HalfStoredError, NotStartedError
from accel_track.media import Image
from accel_track.records import Metrics
from accel_track.trackers.trackio.store import Store
from accel_track.trackers.trackio.tracker import TrackioTracker
from tests.support.readers.trackio import TrackioContract, runs, select, store, stored_config, stored_rows
from tests.support.waiting import until


def locked(*_: Any, **__: Any) -> None:
    """Raise what SQLite does while another process keeps the database."""
    raise sqlite3.OperationalError("database is locked")


class TestTrackio(TrackioContract):
    def test_steps_in_any_order(self, tmp_path: Path) -> None:
        """Every value arrives with its step when evaluation goes back, and when a step comes twice."""
        steps = [1, 3, 0, 1, 3, 3, 5, 7, 2, 3, 7]
        _, stored = self.written(tmp_path, *[({"m": float(i)}, step) for i, step in enumerate(steps)])
        assert stored.metrics["m"] == [(step, float(i)) for i, step in enumerate(steps)]

    def test_a_figure_that_is_drawn_again_for_each_step(self, tmp_path: Path) -> None:
        """Each step has the figure as it was in its call, in pyplot's and in matplotlib's own figures."""
        plt = pytest.importorskip("matplotlib.pyplot")
        accelerator = Accelerator(log_with="trackio", project_dir=tmp_path, cpu=True)
        accelerator.init_trackers("figures", init_kwargs={"trackio": self.init_kwargs(tmp_path)})
        figure = plt.figure()
        (line,) = figure.add_subplot().plot([1, 2])
        colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
        for step, colour in enumerate(colours):
            line.set_color([part / 255 for part in colour])
            accelerator.log({"figure": figure, "plt": plt}, step=step)
        line.set_color("#123456")
        accelerator.end_training()
        assert plt.get_fignums() == [figure.number]
        plt.close("all")
        seen = self.read(tmp_path).media
        for name in ("figure", "plt"):
            assert [one.step for one in seen[name]] == [0, 1, 2]
            for one, colour in zip(seen[name], colours, strict=True):
                assert [(one.what[:, :, :3] == other).all(axis=-1).any() for other in colours] == [
                    other == colour for other in colours
                ]

    def test_configuration_without_any_log(self, tmp_path: Path) -> None:
        """A run that logs nothing keeps its hyperparameters."""
        tracker = self.make(tmp_path)
        tracker.start()
        tracker.store_init_configuration({"lr": 0.1, "inner": {"a": [1, None]}})
        tracker.finish()
        assert self.read(tmp_path).config == {"lr": 0.1, "inner": {"a": [1, None]}}

    def test_configuration_after_the_last_log(self, tmp_path: Path) -> None:
        """Hyperparameters that come after rows arrive, at once or with the next row, and add no step."""
        tracker = self.make(tmp_path)
        tracker.start()
        tracker.store_init_configuration({"a": 1, "b": 1})
        tracker.log({"m": 1.0}, step=4)
        tracker.store_init_configuration({"b": 2})
        tracker.log({"m": 2.0}, step=5)
        tracker.store_init_configuration({"c": 3})
        tracker.finish()
        stored = self.read(tmp_path)
        assert stored.config == {"a": 1, "b": 2, "c": 3}
        assert stored.metrics == {"m": [(4, 1.0), (5, 2.0)]}
        assert max(step for _, (run, step) in select("select run_id, step from metrics") if run not in self.others) == 5

    def test_a_batch_is_what_run_log_makes_of_it(self, tmp_path: Path) -> None:
        """The rows in the database are those of `Run.log`, in its order, with its steps; hyperparameters are there."""
        values = {"f": 1 / 3, "nan": math.nan, "inf": math.inf, "low": -math.inf, "e": 1e22, "tiny": 5e-324, "z": -0.0}
        values |= {"int": 2**60, "text": 'ü "\n', "m/0": 1.5, "flag": True, "many": [1, 2.5, "x"]}
        batch = [Metrics(i, 1.7e9 + i, dict(values, f=i / 3), i) for i in range(12)]
        batch[3] = Metrics(3, 1.7e9, {"f": 0.5}, None)
        batch[5] = Metrics(5, 1.7e9, {"f": 0.5, "table": trackio.Histogram([1, 2, 3])}, 5)
        batch[6] = Metrics(6, 1.7e9, {"none": None}, 40)
        batch[7] = Metrics(7, 1.7e9, {"step": 0.5, "__own": 1.0}, 2)
        batch[8] = Metrics(8, 1.7e9, {"f": 0.75}, None)
        found = []
        for place in ("together", "alone"):
            others = runs()
            tracker = self.make(tmp_path)
            tracker.start()
            tracker.store_init_configuration({"lr": 0.1})
            with warnings.catch_warnings(record=True):
                warnings.simplefilter("always")
                if place == "together":
                    tracker.log_batch(batch[:4])
                    tracker.store_init_configuration({"lr": 0.2})
                    tracker.log_batch(batch[4:7])
                    tracker.log_batch(batch[7:])
                else:
                    for one in batch:
                        tracker.log(one.values, step=one.step)
                    tracker.store_init_configuration({"lr": 0.2})
            following = tracker.tracker._next_step
            tracker.finish()
            stored = select("select run_id, step, metrics from metrics order by id")
            rows = [(step, text) for _, (run, step, text) in stored if run not in others]
            configs = [
                json.loads(t)["lr"] for _, (run, t) in select("select run_id, config from configs") if run not in others
            ]
            found.append((rows if place == "together" else rows[:11], configs, tracker.dropped, following))
        assert found[0] == found[1]
        assert len(found[0][0]) == 11

    def test_a_batch_is_in_the_database_at_once_and_once(self, tmp_path: Path) -> None:
        """What `log_batch` took needs no flush, and a process that is given it again adds nothing."""
        batch = [Metrics(i, 1.7e9 + i, {"m": float(i)}, i) for i in range(5)]
        tracker = self.make(tmp_path)
        tracker.start()
        tracker.log_batch(batch)
        assert len(self.rows()) == 5
        identity = tracker.identity()
        tracker.finish()
        again = TrackioTracker("contract", auto_log_cpu=False, **identity)
        again.start()
        again.log_batch([*batch, Metrics(5, 1.7e9, {"m": 5.0}, 5)])
        again.finish()
        assert self.read(tmp_path).metrics == {"m": [(i, float(i)) for i in range(6)]}

    def test_a_locked_database_is_waited_for(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """An error of the database may pass: nothing of the batch is stored, and repeating it stores all of it."""
        tracker = self.make(tmp_path)
        tracker.start()
        batch = [Metrics(i, 1.7e9 + i, {"m": float(i), "thing": object()}, i) for i in range(3)]
        with monkeypatch.context() as patch:
            patch.setattr("trackio.sqlite_storage.SQLiteStorage.bulk_log", locked)
            with pytest.raises(sqlite3.OperationalError) as caught:
                tracker.log_batch(batch)
        assert tracker.is_transient(caught.value)
        assert not tracker.is_transient(ValueError("another"))
        assert not tracker.dropped
        with pytest.warns(AccelTrackWarning, match="thing"):
            tracker.log_batch(batch)
        tracker.finish()
        assert self.read(tmp_path).metrics == {"m": [(i, float(i)) for i in range(3)]}
        assert tracker.dropped == {"thing": 3}

    @pytest.mark.filterwarnings("ignore:trackio.init")
    def test_a_start_that_fails_while_a_run_is_resumed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """It leaves the run as it was, and can be repeated."""
        name = uuid.uuid4().hex
        tracker = TrackioTracker("contract", name=name, resume="allow", config={"a": 1}, auto_log_cpu=False)
        tracker.start()
        tracker.log({"m": 1.0}, step=1)
        tracker.finish()
        with monkeypatch.context() as patch:
            patch.setattr("trackio.sqlite_storage.SQLiteStorage.get_max_step_for_run", locked)
            with pytest.raises(sqlite3.OperationalError):
                tracker.start()
        assert not tracker.started
        tracker.start()
        tracker.log({"m": 2.0})
        tracker.finish()
        stored = self.read(tmp_path)
        assert (stored.runs, stored.config, stored.metrics) == (1, {"a": 1}, {"m": [(1, 1.0), (2, 2.0)]})

    def test_no_configuration_adds_no_row(self, tmp_path: Path) -> None:
        """A run without hyperparameters has the rows that were logged, and none without values."""
        self.written(tmp_path, ({"m": 1.0}, 0))
        assert self.rows() == [{"m": 1.0}]

    def test_configuration_comes_without_a_row(self, tmp_path: Path) -> None:
        """It is stored at once, so that a first value that comes after a flush is the run's first row."""
        tracker = self.make(tmp_path)
        tracker.start()
        tracker.store_init_configuration({"a": 1})
        assert self.read(tmp_path).config == {"a": 1}
        tracker.flush()
        tracker.log({"m": 1.0}, step=10)
        tracker.store_init_configuration({"b": 1})
        tracker.flush()
        tracker.log_batch([Metrics(0, 1.7e9, {"m": 2.0}, None)])
        tracker.finish()
        stored = self.read(tmp_path)
        assert self.rows() == [{"m": 1.0}, {"m": 2.0}]
        assert stored.metrics == {"m": [(10, 1.0), (11, 2.0)]}
        assert stored.config == {"a": 1, "b": 1}

    def test_hyperparameters_that_trackio_cannot_write(self, tmp_path: Path) -> None:
        """Long integers and half characters become texts, deep values are cut; none of them takes rows along."""
        deep: Any = 1
        for _ in range(300):
            deep = [deep]
        given = {"seed": 2**100, "deep": deep, "name": "caf\udce9", "lr": 0.1}
        tracker = TrackioTracker("contract", auto_log_cpu=False, config=given)
        tracker.start()
        tracker.log({"m": 1.0}, step=0)
        tracker.store_init_configuration({**given, "inner": {"low": [-(2**80)]}})
        tracker.log_batch([Metrics(0, 1.7e9, {"m": 2.0, "caf\udce9": 1.0, "text": "caf\udce9"}, 1)])
        tracker.finish()
        stored = self.read(tmp_path)
        del stored.config["deep"]
        expected = {"seed": str(2**100), "name": "caf\\udce9", "lr": 0.1, "inner": {"low": [str(-(2**80))]}}
        assert stored.config == expected
        assert stored.metrics == {"m": [(0, 1.0), (1, 2.0)], "caf\\udce9": [(1, 1.0)]}
        assert stored.texts == {"text": ["caf\\udce9"]}
        assert not tracker.dropped

    def test_the_current_run(self, tmp_path: Path, in_worker: Callable[..., Any]) -> None:
        """`trackio.log` refers to a tracker's run where its object was asked for, and to the program's own one else."""
        mine = trackio.init(project="mine", auto_log_cpu=False, embed=False)
        tracker, other = self.make(tmp_path), self.make(tmp_path)
        in_worker(tracker.start)
        assert current_run.get() is mine
        trackio.log({"own": 1.0}, step=0)
        trackio.finish()
        with pytest.raises(RuntimeError, match="init"):
            trackio.log({"m": 1.0}, step=0)
        assert current_run.get() is None
        native = tracker.tracker
        assert current_run.get() is native
        trackio.log({"m": 1.0}, step=0)
        tracker.finish()
        other.start()
        assert current_run.get() is other.tracker
        other.finish()
        current_run.set(None)
        rows = [(project, json.loads(text)) for project, (run, text) in select("select run_id, metrics from metrics")]
        assert ("mine", {"own": 1.0}) in rows
        assert ("contract", {"m": 1.0}) in rows

    def test_without_its_private_parts(self, tmp_path: Path) -> None:
        """Rows count as stored when the run is finished; later hyperparameters are counted; rows cannot be deleted."""
        name = uuid.uuid4().hex
        first = TrackioTracker("contract", name=name, auto_log_cpu=False)
        first.start()
        first.store_init_configuration({"a": 1})
        first.log({"m": 1.0}, step=0)
        first.finish()
        with pytest.warns(AccelTrackWarning) as said, pytest.MonkeyPatch.context() as patch:
            tracker = TrackioTracker("contract", name=name, resume="allow", auto_log_cpu=False)
            patch.setattr(Store, "missing", classmethod(lambda _: "a part is missing"))
            tracker.start()
            tracker.store_init_configuration({"b": 1})
            tracker.log_batch([Metrics(i, 1.7e9, {"m": float(i)}, i) for i in (1, 2)])
            tracker.store_init_configuration({"c": 1})
            tracker.flush()
            assert not tracker.durable_flush
            tracker.rewind(1)
            tracker.finish()
        assert [str(one.message)[:40] for one in said] == [
            "trackio: trackio is not as accel_track k",
            "trackio: dropped 'c': Trackio takes no h",
            "trackio: its rows of step 1 and later on",
        ]
        stored = self.read(tmp_path)
        assert stored.config == {"a": 1, "b": 1}
        assert stored.metrics == {"m": [(0, 1.0), (1, 1.0), (2, 2.0)]}

    def test_what_trackios_thread_loses(self, tmp_path: Path) -> None:
        """It warns, and forgets the rows that its own calls gave it; neither a flush nor the end passes for success."""
        tracker = self.make(tmp_path)
        tracker.start()
        with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            patch.setattr("trackio.sqlite_storage.SQLiteStorage.bulk_log", locked)
            tracker.tracker.log({"m": 1.0}, step=0)
            until(lambda: tracker.tracker._warned_failures)
        for call in (tracker.flush, tracker.finish):
            with pytest.raises(HalfStoredError, match="lost rows"):
                call()

    def test_media_are_stored_with_the_time_of_their_call_and_once(self, tmp_path: Path) -> None:
        """Rows with Trackio's objects are stored with those of numbers beside them; a broken object is counted."""
        picture = trackio.Image(np.zeros((4, 3, 3), np.uint8))
        broken = trackio.Image(np.zeros((4, 3, 3), np.uint8))
        broken._save = None  # type: ignore[method-assign, assignment]
        batch = [Metrics(i, 1.7e9 + i, {"m": float(i)}, i) for i in range(3)]
        batch[1] = Metrics(1, 1.7e9 + 1, {"m": 1.0, "image": picture, "broken": broken}, None)
        tracker = self.make(tmp_path)
        tracker.start()
        tracker.log_batch(batch[:1])
        with pytest.warns(UserWarning, match="broken"):
            tracker.log_batch(batch[1:])
            tracker.log_batch(batch[1:])
        tracker.finish()
        stored = self.read(tmp_path)
        assert stored.metrics["m"] == [(i, float(i)) for i in range(3)]
        assert stored.times["m"] == [1.7e9 + i for i in range(3)]
        assert [set(row) for row in self.rows()] == [{"m"}, {"m", "image"}, {"m"}]
        assert tracker.dropped == {"broken": 2}

    def test_a_run_that_the_program_finishes(self, tmp_path: Path) -> None:
        """It takes values and media all the same, each once."""
        tracker = self.make(tmp_path)
        tracker.start()
        tracker.tracker.finish()
        picture = Image(np.zeros((2, 2, 3), np.uint8))
        for step, values in enumerate([{"m": 1.0}, {"picture": picture}, {"m": 2.0}]):
            tracker.log_batch([Metrics(step, 1.7e9, values, step)])
        tracker.finish()
        stored = self.read(tmp_path)
        assert stored.metrics == {"m": [(0, 1.0), (2, 2.0)]}
        assert [seen.step for seen in stored.media["picture"]] == [1]

    def test_flush_writes_at_once(self, tmp_path: Path) -> None:
        """After `flush` rows and hyperparameters are in the file while the run goes on."""
        tracker = self.make(tmp_path)
        tracker.start()
        tracker.store_init_configuration({"a": 1})
        tracker.log({"m": 1.0}, step=4)
        tracker.store_init_configuration({"b": 2})
        tracker.flush()
        stored = self.read(tmp_path)
        tracker.finish()
        assert stored.metrics == {"m": [(4, 1.0)]}
        assert stored.config == {"a": 1, "b": 2}

    def test_reserved_hyperparameters(self, tmp_path: Path) -> None:
        """Those that Trackio keeps for itself are counted, and the others stored."""
        tracker = self.make(tmp_path)
        tracker.start()
        with pytest.warns(UserWarning, match="'_Group'"):
            tracker.store_init_configuration({"_Group": "mine", "lr": 0.1})
        tracker.finish()
        assert tracker.dropped == {"_Group": 1}
        assert self.read(tmp_path).config == {"lr": 0.1}

    def test_values_that_trackio_would_leave_out(self, tmp_path: Path) -> None:
        """They are counted, and leave neither holes nor rows without values."""
        bad = {"none": None, "empty": {}, "huge": 2**70, "list": [object()]}
        tracker = self.make(tmp_path)
        tracker.start()
        with pytest.warns(UserWarning, match="'(none|empty|huge|list)'"):
            tracker.log(bad, step=0)
        tracker.log({**bad, "n": 2**64 - 1}, step=1)
        tracker.finish()
        assert tracker.dropped == dict.fromkeys(bad, 2)
        assert self.rows() == [{"n": 2**64 - 1}]

    @pytest.mark.filterwarnings("ignore:Reserved keys renamed")
    def test_names_that_trackio_changes(self, tmp_path: Path) -> None:
        """Reserved names get a prefix and stay apart from those that had it already."""
        names = ["step", "__step", "time", "__x", "x"]
        tracker, stored = self.written(tmp_path, ({name: float(i) for i, name in enumerate(names)}, 0))
        expected = {"__step": 0.0, "____step": 1.0, "__time": 2.0, "____x": 3.0, "x": 4.0}
        assert stored.metrics == {name: [(0, value)] for name, value in expected.items()}
        assert not tracker.dropped

    def test_sdk_objects_pass_through(self, tmp_path: Path) -> None:
        """Trackio's images, tables and histograms, figures and plain lists are stored beside numbers."""
        figure = pytest.importorskip("matplotlib.figure").Figure()
        values = {
            "image": trackio.Image(np.zeros((4, 3, 3), np.uint8)),
            "table": trackio.Table(columns=["a"], data=[[1]]),
            "histogram": trackio.Histogram([1, 2, 2]),
            "figure": figure,
            "list": [1, 2.5],
            "n": 1.0,
        }
        tracker, _ = self.written(tmp_path, (values, 0))
        (row,) = self.rows()
        assert not tracker.dropped
        assert set(row) == set(values)
        assert (row["image"]["_type"], row["table"]["_type"]) == ("trackio.image", "trackio.table")
        assert row["list"] == [1, 2.5]

    def test_two_trackers_at_a_time(self, tmp_path: Path) -> None:
        """Values of both arrive, each in its own run, though Trackio finishes the first run."""
        one, other = TrackioTracker("one", auto_log_cpu=False), TrackioTracker("other", auto_log_cpu=False)
        one.start()
        one.log({"m": 1.0}, step=1)
        other.start()
        one.store_init_configuration({"late": 1})
        one.log({"m": 2.0}, step=2)
        other.log({"m": 3.0}, step=1)
        one.finish()
        other.finish()
        rows = [
            (project, step, json.loads(text)["m"])
            for project, (run, step, text) in select("select run_id, step, metrics from metrics order by id")
            if run not in self.others
        ]
        assert rows == [("one", 1, 1.0), ("one", 2, 2.0), ("other", 1, 3.0)]
        assert self.read(tmp_path).config == {"late": 1}

    def test_resuming_keeps_what_was_stored(self, tmp_path: Path) -> None:
        """Hyperparameters of the run's first part stay unless they are given again; steps go on."""
        name = uuid.uuid4().hex
        for config, step in (({"a": 1, "b": 1}, 3), ({"b": 2}, 4)):
            tracker = TrackioTracker("contract", name=name, resume="allow", auto_log_cpu=False)
            tracker.start()
            tracker.store_init_configuration(config)
            tracker.log({"m": 1.0}, step=step)
            tracker.log({"n": 1.0})
            tracker.finish()
        stored = self.read(tmp_path)
        assert stored.runs == 1
        assert stored.config == {"a": 1, "b": 2}
        assert stored.metrics == {"m": [(3, 1.0), (4, 1.0)], "n": [(4, 1.0), (5, 1.0)]}

    def test_whole_life_in_a_worker_thread(self, tmp_path: Path, in_worker: Callable[..., Any]) -> None:
        """Start, log and finish work off the main thread, and logging on another one than start's."""
        stored = in_worker(lambda: self.written(tmp_path, ({"m": 1.0}, 7))[1])
        assert stored.metrics == {"m": [(7, 1.0)]}

    def test_logging_in_another_thread(self, tmp_path: Path, in_worker: Callable[..., Any]) -> None:
        """A run started on the main thread takes values, and ends, on another one."""
        tracker = self.make(tmp_path)
        tracker.start()
        in_worker(lambda: tracker.log({"m": 1.0}, step=7))
        in_worker(tracker.finish)
        assert self.read(tmp_path).metrics == {"m": [(7, 1.0)]}

    def test_starting_again_makes_a_new_run(self, tmp_path: Path) -> None:
        """A finished tracker takes no values until it is started again."""
        tracker = self.make(tmp_path)
        for number in (1, 2):
            tracker.start()
            tracker.log({"m": 1.0}, step=1)
            tracker.finish()
            assert self.read(tmp_path).runs == number
        with pytest.raises(NotStartedError, match="trackio"):
            tracker.log({"m": 1.0}, step=1)

    def test_init_kwargs_reach_the_sdk(self, tmp_path: Path) -> None:
        """The constructor's keyword arguments go to `trackio.init` and win over what is derived."""
        kwargs = {"project": "other", "group": "g", "config": {"a": 1}, "auto_log_cpu": False}
        tracker = TrackioTracker.for_run("digits", "run", tmp_path, kwargs)
        tracker.start()
        run = tracker.tracker
        assert (run.project, run.name, run.group) == ("other", "run", "g")
        tracker.log({"m": 1.0})
        tracker.finish()
        assert self.read(tmp_path).config == {"a": 1}

    def test_no_dashboard_in_a_notebook(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Trackio would start a server in a notebook; the tracker does not let it unless `embed` is given."""
        shown: list[str] = []
        monkeypatch.setattr("trackio.utils.is_in_notebook", lambda: True)
        monkeypatch.setattr("trackio.show", lambda project, **_: shown.append(project))
        for kwargs in ({}, {"embed": True}):
            tracker = TrackioTracker(f"notebook-{len(kwargs)}", auto_log_cpu=False, **kwargs)
            tracker.start()
            tracker.finish()
        assert shown == ["notebook-1"]


def test_nothing_is_asked_on_a_terminal(on_terminal: Callable[[str], str]) -> None:
    """A local run needs no credentials; without them it starts, writes below the home directory and ends."""
    code = (
        "from accel_track.trackers.trackio.tracker import TrackioTracker\n"
        "assert TrackioTracker.not_configured({}) is None\n"
        "tracker = TrackioTracker('p')\n"
        "tracker.start(); tracker.log({'m': 1.0}, step=0); tracker.finish()\n"
        "from trackio.utils import TRACKIO_DIR\n"
        "print('STORED', (TRACKIO_DIR / 'p.db').exists())\n"
    )
    assert "STORED True" in on_terminal(code)


def test_a_start_that_fails_leaves_nothing_open() -> None:
    """A project's name that Trackio does not take raises its own error, and the tracker is not started."""
    tracker = TrackioTracker("registry-p")
    with pytest.raises(ValueError, match="reserved"):
        tracker.start()
    assert not tracker.started


PROGRAM = """
import json, os, shutil, sys
from accel_track.outcome import Outcome
from accel_track.trackers.trackio.store import Store
from accel_track.trackers.trackio.tracker import TrackioTracker
tracker = TrackioTracker('digits', **{'auto_log_cpu': False, 'name': 'first', **json.loads(sys.argv[1])})
tracker.start()
def end(number=9):
    tracker.flush()
    print(json.dumps(tracker.identity()), flush=True)
    os.kill(os.getpid(), number)
"""


class TestContinuing:
    """Programs one after another, each with a store of their own; the first ones are killed."""

    @pytest.fixture
    def run(self, tmp_path: Path) -> Callable[..., dict[str, Any]]:
        """Run a program after `PROGRAM`, and return what `identity` was."""

        def call(code: str, **kwargs: Any) -> dict[str, Any]:
            done = subprocess.run(
                [sys.executable, "-c", PROGRAM + code, json.dumps(kwargs)],
                env={**os.environ, "TRACKIO_DIR": str(tmp_path)},
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert done.returncode in (0, -9), done.stderr
            lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
            identity: dict[str, Any] = json.loads(lines[-1]) if lines else {}
            return identity

        return call

    @pytest.mark.long
    def test_after_sigkill(self, tmp_path: Path, run: Callable[..., dict[str, Any]]) -> None:
        """One run with the values of all programs, steps as they were given, and all hyperparameters."""
        identity = run(
            "tracker.store_init_configuration({'a': 1, 'b': 1})\n"
            "for step in range(3):\n    tracker.log({'m': float(step)}, step=step)\nend()\n"
        )
        identity = run("tracker.log({'m': 3.0}, step=3)\nend()\n", **identity)
        run(
            "tracker.store_init_configuration({'b': 2})\ntracker.log({'m': 4.0}, step=4)\ntracker.log({'m': 5.0})\n"
            "tracker.outcome = Outcome('failed', 'x')\ntracker.finish()\n",
            **identity,
        )
        run("tracker.log({'m': 6.0}, step=6)\ntracker.finish()\n", **identity)
        assert stored_rows(tmp_path) == [("first", step, {"m": float(step)}) for step in range(7)]
        assert stored_config(tmp_path) == {"a": 1, "b": 2}
        with closing(store(tmp_path)) as connection:
            assert len(connection.execute("select distinct run_id from metrics").fetchall()) == 1

    @pytest.mark.long
    def test_a_newer_run_of_the_same_name(self, tmp_path: Path, run: Callable[..., dict[str, Any]]) -> None:
        """The id says which of two runs goes on, also one that had stored nothing."""
        for first in ("tracker.log({'m': 0.0}, step=0)\nend()\n", "end()\n"):
            identity = run(first)
            other = run("tracker.log({'other': 0.0}, step=7)\nend()\n")
            run("tracker.log({'m': 1.0})\ntracker.finish()\n", **identity)
            with closing(store(tmp_path)) as connection:
                found = connection.execute(
                    "select step, metrics from metrics where run_id = ? order by id", (identity["run_id"],)
                ).fetchall()
            assert other["run_id"] != identity["run_id"]
            assert [(step, json.loads(text)) for step, text in found][-1] == (len(found) - 1, {"m": 1.0})

    @pytest.mark.long
    def test_rewinding(self, tmp_path: Path, run: Callable[..., dict[str, Any]]) -> None:
        """Values from the step on are gone, those of other runs and the hyperparameters are not."""
        run("tracker.log({'m': 9.0}, step=9)\ntracker.finish()\n", name="other")
        identity = run(
            "tracker.store_init_configuration({'a': 1})\n"
            "for step in range(5):\n    tracker.log({'m': float(step)}, step=step)\nend()\n"
        )
        run("tracker.rewind(2)\ntracker.log({'m': -2.0})\ntracker.log({'m': -3.0}, step=3)\nend()\n", **identity)
        rows = [(step, values["m"]) for name, step, values in stored_rows(tmp_path) if name == "first"]
        assert rows == [(0, 0.0), (1, 1.0), (2, -2.0), (3, -3.0)]
        assert ("other", 9, {"m": 9.0}) in stored_rows(tmp_path)
        identity = run("tracker.rewind(0)\nend()\n", **identity)
        run("tracker.log({'m': 5.0}, step=0)\ntracker.finish()\n", **identity)
        assert [row for row in stored_rows(tmp_path) if row[0] == "first"] == [("first", 0, {"m": 5.0})]
        with closing(store(tmp_path)) as connection:
            ((text,),) = connection.execute("select config from configs where run_name = 'first'")
        assert json.loads(text)["a"] == 1

    @pytest.mark.long
    def test_checkpoints(self, tmp_path: Path, run: Callable[..., dict[str, Any]]) -> None:
        """Files and folders that are deleted at once are stored with what is known about them; a name has one version.

        A run that goes on replaces its checkpoints, and no other run's.
        """
        save = (
            "def save(name, text):\n"
            "    os.makedirs('sharded/inner')\n"
            "    for part in ('sharded/meta', 'sharded/inner/0'):\n        open(part, 'w').write(text + part)\n"
            "    open('one.ckpt', 'w').write(text)\n"
            "    tracker.log_checkpoint(name, 'one.ckpt', 4, {'score': 0.5, 'best': True})\n"
            "    tracker.log_checkpoint(name + '-sharded', 'sharded', None, {})\n"
            "    shutil.rmtree('sharded')\n    os.remove('one.ckpt')\n"
        )
        first = run(save + "save('epoch=1', 'old')\nsave('last', 'old')\nend()\n")
        other = run(save + "save('last', 'other')\nend()\n", name="other")
        run(save + "save('last', 'new')\ntracker.delete_checkpoint('epoch=1')\ntracker.finish()\n", **first)
        expected = {
            f"last-{first['run_id'][:8]}": {"one.ckpt": b"new"},
            f"last-{other['run_id'][:8]}": {"one.ckpt": b"other"},
            f"last-sharded-{first['run_id'][:8]}": {"meta": b"newsharded/meta", "inner/0": b"newsharded/inner/0"},
        }
        found = artifacts(tmp_path)
        assert {name: found[name][1] for name in expected} == expected
        assert {name.partition("-")[0] for name in found} == {"last", "epoch_1"}
        assert found[f"last-{first['run_id'][:8]}"][0] == {"score": 0.5, "step": 4}
        deleted = [files for metadata, files in found.values() if metadata.get("deleted")]
        assert [list(files) for files in deleted] == [["deleted.txt"]]
        blobs = [path.read_bytes() for path in tmp_path.rglob("sha256/*/*")]
        assert sorted(blobs) == sorted(data for _, files in found.values() for data in files.values())

    @pytest.mark.long
    def test_ranks_are_one_group(self, tmp_path: Path, run: Callable[..., dict[str, Any]]) -> None:
        """The runs of all ranks have the same group."""
        for rank in range(2):
            run(
                "tracker.log({'m': 1.0}, step=0)\ntracker.finish()\n",
                name=f"first-rank-{rank}",
                **TrackioTracker.grouped("first", rank),
            )
        with closing(store(tmp_path)) as connection:
            found = connection.execute("select run_name, config from configs").fetchall()
        assert {name: json.loads(text)["_Group"] for name, text in found} == {
            "first-rank-0": "first",
            "first-rank-1": "first",
        }


def artifacts(folder: Path) -> dict[str, tuple[dict[str, Any], dict[str, bytes]]]:
    """Return metadata and files by path of each artifact's only version."""
    found = {}
    with closing(store(folder)) as connection:
        query = (
            "select name, metadata, manifest from artifacts join artifact_versions v on v.artifact_id = artifacts.id"
        )
        for name, metadata, manifest in connection.execute(query):
            assert name not in found
            files = {}
            for entry in json.loads(manifest):
                (blob,) = folder.rglob(f"sha256/*/{entry['digest']}")
                files[entry["path"]] = blob.read_bytes()
            found[name] = (json.loads(metadata or "{}"), files)
    return found
