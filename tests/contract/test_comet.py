"""Comet in its offline mode, read back from the archive that `comet upload` would send."""

import functools
import json
import os
import shutil
import socket
import subprocess
import sys
import textwrap
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import comet_ml
import numpy as np
import pytest

from accel_track.errors import AccelTrackWarning, EndedError, NotConfiguredError, NotStartedError
from accel_track.outcome import Outcome
from accel_track.records import Metrics
from accel_track.trackers.comet.fast import CometParts
from accel_track.trackers.comet.tracker import CometMLTracker
from tests.support.private_parts import lost_at
from tests.support.readers.comet import CometContract, archives, messages, metrics, offline, pictures, read


class TestComet(CometContract):
    def test_files_that_somebody_deletes(self, tmp_path: Path) -> None:
        """Comet makes no archive then, and nothing counts as stored."""
        tracker = self.make(tmp_path)
        tracker.start()
        tracker.log({"m": 1.0}, step=0)
        tracker.flush()
        shutil.rmtree(tracker.tracker.tmpdir)
        tracker.log({"m": 2.0}, step=1)
        with pytest.raises(EndedError, match="deleted or moved the run's files"):
            tracker.flush()
        with pytest.raises(EndedError, match="deleted or moved"):
            tracker.finish()

    def test_long_names_are_read_as_stored(self, tmp_path: Path) -> None:
        """`stored_name` says under which name a value is read."""
        name = "a/" + "long" * 40
        tracker = self.make(tmp_path)
        tracker.start()
        tracker.log({name: 1.0}, step=2)
        tracker.finish()
        (scratch := tmp_path / "scratch").mkdir()
        (row,) = tracker.read().records(scratch)
        assert row.values == {tracker.stored_name(name): 1.0}
        assert tracker.stored_name(name) != name

    def test_whole_life_in_a_thread(self, tmp_path: Path, in_worker: Callable[[Callable[[], None]], None]) -> None:
        """Start, configuration, log, flush and finish off the main thread store everything."""

        def live() -> None:
            tracker = self.make(tmp_path)
            tracker.start()
            tracker.store_init_configuration({"lr": 0.1})
            tracker.log({"loss": 0.5, "answer": "yes"}, step=3)
            tracker.flush()
            tracker.finish()

        in_worker(live)
        stored = self.read(tmp_path)
        assert stored.metrics["loss"] == [(3, 0.5)]
        assert stored.config["lr"] == 0.1
        assert stored.texts["answer"] == ["yes"]

    def test_two_at_once_are_two_experiments(self, tmp_path: Path) -> None:
        """A second tracker neither shares nor ends the first one's experiment, nor the user's own."""
        own = comet_ml.start(project_name="own", experiment_config=offline(tmp_path / "own"))
        one, two = self.make(tmp_path / "one"), self.make(tmp_path / "two")
        one.start()
        two.start()
        for index, tracker in enumerate((one, two)):
            tracker.log({"loss": float(index)}, step=0)
        two.finish()
        one.log({"loss": 2.0}, step=1)
        own.log_metric("loss", 3.0, step=7)
        one.finish()
        own.end()
        for name, points in {"one": [(0, 0.0), (1, 2.0)], "two": [(0, 1.0)], "own": [(7, 3.0)]}.items():
            (archive,) = archives(tmp_path / name)
            assert metrics(archive)["loss"] == points, name

    def test_the_running_experiment_on_request(self, tmp_path: Path) -> None:
        """`mode="get"` logs to the experiment that the user started."""
        own = comet_ml.start(project_name="own", experiment_config=offline(tmp_path))
        tracker = CometMLTracker("own", mode="get", experiment_config=offline(tmp_path))
        tracker.start()
        assert tracker.tracker is own
        tracker.log({"loss": 0.5}, step=0)
        tracker.finish()
        assert self.read(tmp_path).metrics["loss"] == [(0, 0.5)]

    def test_logging_after_finish(self, tmp_path: Path) -> None:
        """A finished tracker says so."""
        tracker = self.make(tmp_path)
        tracker.start()
        tracker.finish()
        with pytest.raises(NotStartedError, match="comet_ml"):
            tracker.log({"loss": 0.5}, step=0)

    def test_every_text_is_kept(self, tmp_path: Path) -> None:
        """Texts of one name are kept with their steps."""
        tracker = self.make(tmp_path)
        tracker.start()
        for step in range(3):
            tracker.log({"sample": f"text {step}"}, step=step)
        tracker.finish()
        (archive,) = archives(tmp_path)
        assert read(archive).texts["sample"] == ["text 0", "text 1", "text 2"]
        samples = [one["additional_params"] for one in messages(archive, "file_upload")]
        assert [one["step"] for one in samples if one.get("type") == "text-sample"] == [0, 1, 2]

    def test_a_lost_connection_at_any_record_of_a_batch(self, tmp_path: Path) -> None:
        """The batch is given again, and each of its values is stored once."""
        tracker = self.make(tmp_path)
        tracker.start()
        records: list[Metrics] = []
        for place in range(30):
            numbers = range(len(records), len(records) + 20)
            batch = [Metrics(i, 0.0, {"m": i / 4, "n": i, **({"text": f"t{i}"} if i % 2 else {})}, i) for i in numbers]
            records += batch
            method = "log_metrics" if place < 20 else "log_text"
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(tracker.tracker, method, lost_at(place % 20, getattr(tracker.tracker, method)))
                with pytest.raises(ConnectionError, match="lost"):
                    tracker.log_batch(batch)
                tracker.log_batch(batch)
        assert not tracker.dropped
        tracker.finish()
        stored = self.read(tmp_path)
        assert stored.metrics["m"] == [(i, i / 4) for i in range(len(records))]
        assert stored.metrics["n"] == [(i, i) for i in range(len(records))]
        assert sorted(stored.texts["text"]) == sorted(f"t{i}" for i in range(1, len(records), 2))

    def test_long_names_stay_apart(self, tmp_path: Path) -> None:
        """Names that agree in their first 100 characters are two metrics and two hyperparameters."""
        names = ["x" * 150 + end for end in "ab"]
        tracker = self.make(tmp_path)
        tracker.start()
        tracker.store_init_configuration({name: index for index, name in enumerate(names)})
        tracker.log({name: float(index) for index, name in enumerate(names)}, step=0)
        tracker.finish()
        stored = self.read(tmp_path)
        long = {name: points for name, points in stored.metrics.items() if name.startswith("xxx")}
        assert sorted(points[0][1] for points in long.values()) == [0.0, 1.0]
        assert all(len(name) <= 100 for name in long)
        assert sorted(value for name, value in stored.config.items() if name.startswith("xxx")) == [0, 1]

    def test_log_arguments(self, tmp_path: Path) -> None:
        """Further arguments of `log` reach `log_metric`."""
        tracker = self.make(tmp_path)
        tracker.start()
        tracker.log({"loss": 0.5}, step=2, epoch=4)
        tracker.finish()
        (archive,) = archives(tmp_path)
        (metric,) = (one["metric"] for one in messages(archive, "metric_msg") if one["metric"]["metricName"] == "loss")
        assert (metric["step"], metric["epoch"]) == (2, 4)

    @pytest.mark.filterwarnings("ignore:stat. path should be:DeprecationWarning")  # the SDK's, for arrays
    def test_pixels_are_stored_as_given(self, tmp_path: Path) -> None:
        """Dark images stay dark, with and without further arguments."""
        gray = np.full((8, 6), 40, np.uint8)
        gray[0, 0] = 60
        colour = np.full((8, 6, 3), (10, 20, 30), np.uint8)
        tracker = self.make(tmp_path)
        tracker.start()
        tracker.log_images({"gray": gray, "colour": colour}, step=1)
        tracker.log_images({"noted": gray}, step=1, metadata={"note": "x"})
        tracker.log_images({"twice": gray}, step=1, image_scale=2)
        tracker.finish()
        (archive,) = archives(tmp_path)
        found = pictures(archive)
        np.testing.assert_array_equal(found["colour"], colour)
        for name in ("gray", "noted"):
            np.testing.assert_array_equal(found[name], gray)
        assert found["twice"].shape[:2] == (16, 12)
        assert found["twice"].max() < 70

    def test_an_image_that_comet_refuses_is_counted(self, tmp_path: Path) -> None:
        """A failed conversion, which the SDK only logs, is a dropped value."""
        tracker = self.make(tmp_path)
        tracker.start()
        with pytest.warns(AccelTrackWarning, match="'bad'"):
            tracker.log_images({"bad": np.zeros((8, 6))}, step=0, image_format="no-such-format")
        tracker.finish()
        assert tracker.dropped == {"bad": 1}

    def test_arguments_reach_the_sdk(self, tmp_path: Path) -> None:
        """Project, key and configuration given as arguments are used, and the user's configuration is not changed."""
        key = "a" * 32
        config = offline(tmp_path, tags=["mine"])
        before = dict(vars(config))
        kwargs = {"project_name": "other", "experiment_key": key, "experiment_config": config}
        tracker = CometMLTracker.for_run("digits", "first", tmp_path, kwargs)
        tracker.start()
        assert tracker.tracker.get_key() == key
        tracker.log({"loss": 0.5}, step=0)
        tracker.finish()
        (archive,) = archives(tmp_path / "comet")
        stored = read(archive)
        assert (stored.project, stored.run_name) == ("other", "first")
        assert "mine" in json.loads(zipfile.ZipFile(archive).read("experiment.json"))["tags"]
        assert vars(config) == before

    def test_directory(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The archive is in the logging directory, unless the SDK's own variable says where."""
        for variable, expected in ((None, tmp_path / "comet_ml"), (str(tmp_path / "mine"), tmp_path / "mine")):
            if variable:
                monkeypatch.setenv("COMET_OFFLINE_DIRECTORY", variable)
            tracker = CometMLTracker.for_run("digits", None, tmp_path, {})
            tracker.start()
            tracker.log({"loss": 0.5}, step=0)
            tracker.finish()
            assert len(archives(expected)) == 1

    def test_automatic_logging(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Copies of other loggers' metrics and the closing summary are off, unless the user turns them on."""
        for values, expected in (({}, (False, 0)), ({"METRICS": "true"}, (True, 0))):
            for name, value in values.items():
                monkeypatch.setenv(f"COMET_AUTO_LOG_{name}", value)
            tracker = CometMLTracker.for_run("digits", None, tmp_path, {})
            tracker.start()
            native = tracker.tracker
            tracker.finish()
            assert (native.auto_metric_logging, native.display_summary_level) == expected
        tracker = self.make(tmp_path)
        tracker.start()
        assert tracker.tracker.auto_metric_logging
        tracker.finish()

    def test_a_refused_experiment_raises(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where the SDK only logs that nothing will be logged, `start` raises and nothing is open."""
        monkeypatch.setenv("COMET_URL_OVERRIDE", "http://127.0.0.1:9/clientlib/")
        for what in ("HTTP_SESSION_RETRY_TOTAL", *(f"GET_OR_ADD_EXPERIMENT_RETRY_{x}" for x in ("TOTAL", "CONNECT"))):
            monkeypatch.setenv(f"COMET_{what}", "0")
        tracker = CometMLTracker("p", online=True, api_key="k" * 25)
        with pytest.raises(ConnectionError, match="COMET_START_ONLINE=0") as caught:
            tracker.start()
        assert tracker.is_transient(caught.value)
        with socket.create_server(("127.0.0.1", 0)) as listener:  # a key that it refuses would raise the same
            monkeypatch.setenv("COMET_URL_OVERRIDE", f"http://127.0.0.1:{listener.getsockname()[1]}/clientlib/")
            assert not tracker.is_transient(caught.value)
        assert not tracker.is_transient(ValueError("another"))
        assert not tracker.started

    @pytest.mark.long
    def test_not_alongside_tensorboard(self, tmp_path: Path) -> None:
        """In a process that imports Comet first, TensorBoard's scalars are not stored in Comet again."""
        code = f"""
            import comet_ml, torch
            from accel_track import Accelerator
            accelerator = Accelerator(log_with=["comet_ml", "tensorboard"], project_dir={str(tmp_path)!r}, cpu=True)
            accelerator.init_trackers("digits")
            accelerator.log({{"loss": 0.5}}, step=4)
            accelerator.end_training()
        """
        subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, timeout=120, capture_output=True)
        assert self.read(tmp_path).metrics["loss"] == [(4, 0.5)]

    @pytest.mark.first(2)
    @pytest.mark.parametrize(
        ("part", "moment"),
        [*((part, "at the start") for part in (*CometParts.parts, *CometParts.attributes)), ("all", "in mid-run")],
    )
    def test_without_a_part_that_is_not_public(
        self, part: str, moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """All values are stored, once, whatever Comet has renamed; what cannot be done without it is said once."""
        parts = [*CometParts.parts, *CometParts.attributes] if part == "all" else [part]

        def rename() -> None:
            for path in (one.rpartition(":")[2] for one in parts):
                owner, _, name = path.rpartition(".")
                monkeypatch.delattr(functools.reduce(getattr, owner.split("."), comet_ml), name)

        tracker = self.make(tmp_path)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            if moment == "at the start":
                rename()
            tracker.start()
            tracker.log_batch([Metrics(i, 0.0, {"loss": i / 8, "text": "t"}, i) for i in range(4)])
            if moment == "in mid-run":
                monkeypatch.delattr(type(tracker.tracker), "_report_experiment_error")
                rename()
            tracker.log_batch([Metrics(i, 0.0, {"loss": i / 8}, i) for i in range(4, 8)])
            tracker.flush()
            tracker.outcome = Outcome("failed", "for the test")
            tracker.finish()
        (own,) = (str(one.message) for one in said if issubclass(one.category, AccelTrackWarning))
        assert "comet_ml: comet-ml is not as accel_track knows it" in own
        stored = self.read(tmp_path)
        assert stored.metrics["loss"] == [(i, i / 8) for i in range(8)]
        assert stored.texts["text"] == ["t"] * 4

    def test_an_experiment_that_is_over_takes_nothing(self, tmp_path: Path) -> None:
        """Comet would take the values in silence; delivery stops instead, and everything before is stored."""
        tracker = self.make(tmp_path)
        tracker.start()
        tracker.log({"loss": 0.5}, step=0)
        tracker.tracker.end()
        for call in (lambda: tracker.log({"loss": 0.25}, step=1), tracker.flush):
            with pytest.raises(EndedError, match="takes no more values"):
                call()
        tracker.finish()
        assert self.read(tmp_path).metrics["loss"] == [(0, 0.5)]

    def test_a_flush_that_did_not_send_everything(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nothing is acknowledged then."""
        tracker = self.make(tmp_path)
        tracker.start()
        monkeypatch.setattr(tracker.tracker.streamer, "flush", lambda **_: False)
        with pytest.raises(ConnectionError, match="not sent everything"):
            tracker.flush()
        monkeypatch.undo()
        tracker.flush()
        tracker.finish()


@pytest.mark.long
def test_without_credentials(on_terminal: Callable[[str], str]) -> None:
    """On a terminal, without key and offline setting, the error says what to set, and nobody is asked anything."""
    code = """
        import sys
        from accel_track import Accelerator
        from accel_track.errors import NotConfiguredError
        from accel_track.tracking import CometMLTracker
        assert sys.stdin.isatty()
        tracker = CometMLTracker("p")
        for how in (tracker.start, lambda: Accelerator(log_with="comet_ml", cpu=True).init_trackers("p")):
            try:
                how()
            except NotConfiguredError as error:
                print("REFUSED", error)
        assert not tracker.started
    """
    lines = [line for line in on_terminal(textwrap.dedent(code)).splitlines() if line.startswith("REFUSED")]
    assert len(lines) == 2
    for line in lines:
        assert all(part in line for part in ("comet_ml: ", "COMET_API_KEY", "COMET_START_ONLINE=0")), line


PLACES = {
    "api_key": {"kwargs": {"api_key": "k"}},
    "COMET_API_KEY": {"env": {"COMET_API_KEY": "k"}},
    "offline": {"kwargs": {"online": False}},
    "COMET_START_ONLINE": {"env": {"COMET_START_ONLINE": "False"}},
    "disabled": {"env": {"COMET_AUTO_LOG_DISABLE": "1"}},
    "home": {"file": "home/.comet.config"},
    "working directory": {"file": ".comet.config"},
    ".env": {"file": ".env", "text": "COMET_API_KEY=k\n"},
    "COMET_CONFIG": {"file": "elsewhere.ini", "env": {"COMET_CONFIG": "elsewhere.ini"}},
    "offline in a file": {"file": ".comet.config", "text": "[comet_start]\nonline=false\n"},
}


@pytest.fixture
def unconfigured(monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working directory of a process that knows no setting of Comet."""
    for name in [name for name in os.environ if name.startswith("COMET_")]:
        monkeypatch.delenv(name)
    (Path.cwd() / "home").mkdir()
    monkeypatch.setenv("HOME", str(Path.cwd() / "home"))
    return Path.cwd()


@pytest.mark.parametrize("place", PLACES)
def test_credentials_are_found(place: str, unconfigured: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key or an offline setting is seen wherever the SDK sees it."""
    where: dict[str, Any] = PLACES[place]
    kwargs = where.get("kwargs", {})
    if where != PLACES["api_key"]:
        assert CometMLTracker.not_configured({}) is not None
    if "file" in where:
        (unconfigured / where["file"]).write_text(where.get("text", "[comet]\napi_key=k\n"))
    for name, value in where.get("env", {}).items():
        monkeypatch.setenv(name, value)
    assert CometMLTracker.not_configured(kwargs) is None


@pytest.mark.usefixtures("unconfigured")
def test_an_argument_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """`online=True` needs a key also where the environment says offline; a disabled experiment needs none."""
    monkeypatch.setenv("COMET_START_ONLINE", "0")
    assert "COMET_API_KEY" in str(CometMLTracker.not_configured({"online": True}))
    assert CometMLTracker.not_configured({"experiment_config": comet_ml.ExperimentConfig(disabled=True)}) is None
    tracker = CometMLTracker("p", online=True)
    with pytest.raises(NotConfiguredError, match="COMET_API_KEY"):
        tracker.start()
    assert not tracker.started


@pytest.mark.usefixtures("unconfigured")
def test_a_disabled_experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disabled experiment takes everything, stores nothing and warns of nothing."""
    monkeypatch.setenv("COMET_AUTO_LOG_DISABLE", "1")
    tracker = CometMLTracker.for_run("p", None, tmp_path, {})
    tracker.start()
    tracker.store_init_configuration({"lr": 0.1})
    tracker.log({"loss": 0.5, "text": "t"}, step=0)
    tracker.log_images({"image": np.zeros((4, 4))}, step=0)
    tracker.flush()
    tracker.finish()
    assert not tracker.dropped
    assert not archives(tmp_path)
