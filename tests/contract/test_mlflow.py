"""MLflow, read back from its SQLite database with a client of its own."""

import json
import math
import os
import shutil
import signal
import sqlite3
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import mlflow
import pytest
import requests
import sqlalchemy.engine
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from PIL import Image

import accel_track
from accel_track.errors import AccelTrackWarning, NotStartedError
from accel_track.outcome import FINISHED, Outcome
from accel_track.records import Metrics
from accel_track.trackers.mlflow.fast import DatabasePath
from accel_track.trackers.mlflow.tracker import MLflowTracker
from tests.support import warm
from tests.support.private_parts import hide, private_parts
from tests.support.readers.mlflow import MLflowContract, all_runs


@pytest.fixture(scope="module")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a database after MLflow's migrations, which take seconds."""
    folder = tmp_path_factory.mktemp("mlflow")
    MlflowClient(f"sqlite:///{folder}/mlflow.db").search_experiments()
    return folder / "mlflow.db"


@pytest.fixture(autouse=True)
def uri(tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Put a copy of it in the test's folder and return its URI; forget what MLflow keeps in the process."""
    for variable in ("EXPERIMENT_NAME", "EXPERIMENT_ID", "RUN_ID", "TAGS", "NESTED_RUN", "TRACKING_URI"):
        monkeypatch.delenv(f"MLFLOW_{variable}", raising=False)
    shutil.copy(empty_database, tmp_path)
    yield f"sqlite:///{tmp_path}/mlflow.db"
    while mlflow.active_run():
        mlflow.end_run()
    mlflow.set_tracking_uri(None)


def test_a_database_that_somebody_deletes(tmp_path: Path, uri: str) -> None:
    """Nothing is stored, nothing makes an empty database in its place, and the end of the run does not wait for it."""
    begun = time.monotonic()
    with pytest.warns(AccelTrackWarning, match="EndedError: mlflow: somebody has deleted or moved the run's files"):
        run = accel_track.init("p", "mlflow", project_dir=tmp_path, init_kwargs={"mlflow": {"tracking_uri": uri}})
        run.log({"loss": 0.5}, step=0)
        run.flush()
        (tmp_path / "mlflow.db").unlink()
        run.log({"loss": 0.25}, step=1)
        run.finish()
    assert time.monotonic() - begun < 50  # it would be tried again for a minute
    assert not (tmp_path / "mlflow.db").exists()


def test_the_environment_is_tags(tmp_path: Path, uri: str) -> None:
    """Params are the user's only; what no tag holds is cut and counted."""
    tracker = MLflowTracker("contract", logging_dir=tmp_path, tracking_uri=uri)
    tracker.start()
    with pytest.warns(AccelTrackWarning, match="cut 'environment/packages' to the first"):
        tracker.store_environment({"environment": {"git": {"dirty": True}, "packages": "x" * 20_000}})
    tracker.finish()
    (run,) = all_runs(uri)
    assert run.data.params == {}
    assert run.data.tags["environment/git/dirty"] == "True"
    assert set(run.data.tags["environment/packages"]) == {"x"}
    assert tracker.clipped == {"environment/packages": 1}


def written_in(uri: str, **arguments: Any) -> Run:
    """Write one value through a tracker made with `arguments` and return the run as MLflow has it then."""
    tracker = MLflowTracker(tracking_uri=uri, **arguments)
    tracker.start()
    tracker.log({"loss": 0.5}, step=0)
    tracker.finish()
    return MlflowClient(uri).get_run(tracker.run_id)


class TestMLflow(MLflowContract):
    def test_infinities_in_a_row(self, tmp_path: Path) -> None:
        """NaN and the finite values of a series with an infinity are kept, and nothing else is."""
        with pytest.warns(AccelTrackWarning, match="dropped 'x'.*finite number"):
            tracker, stored = self.written(tmp_path, *[({"x": v}, i) for i, v in enumerate((1.0, math.inf, math.nan))])
        assert [step for step, _ in stored.metrics["x"]] == [0, 2]
        assert tracker.dropped == {"x": 1}

    @pytest.mark.long
    def test_many_values_in_one_call(self, tmp_path: Path) -> None:
        """More values than one request of MLflow takes are stored all the same."""
        _, stored = self.written(tmp_path, ({f"m{i}": i for i in range(1500)}, 7))
        assert stored.metrics == {f"m{i}": [(7, float(i))] for i in range(1500)}

    def test_a_changed_hyperparameter(self, tmp_path: Path, uri: str) -> None:
        """The same value again is fine; another one is dropped, as are none of its neighbours."""
        tracker = self.make(tmp_path)
        tracker.start()
        tracker.store_init_configuration({"lr": 0.1, "a@b": 1})
        tracker.store_init_configuration({"lr": 0.1, "a@b": 1})
        with pytest.warns(AccelTrackWarning, match="'lr'.*stored as '0.1'"):
            tracker.store_init_configuration({"lr": 0.2, "epochs": 3})
        tracker.finish()
        (run,) = all_runs(uri)
        assert run.data.params["lr"] == "0.1"
        assert run.data.params["epochs"] == "3"
        assert sorted(run.data.params.values()) == ["0.1", "1", "3"]
        assert tracker.dropped == {"lr": 1}

    def test_a_long_hyperparameter_is_cut(self, tmp_path: Path, uri: str) -> None:
        """What exceeds MLflow's limit is cut, with a warning, and can be stored again."""
        tracker = self.make(tmp_path)
        tracker.start()
        with pytest.warns(AccelTrackWarning, match="cut 'prompt' to the first 6000 of its 7000"):
            tracker.store_init_configuration({"prompt": "p" * 7000})
        with pytest.warns(AccelTrackWarning, match="cut 'prompt'"):
            tracker.store_init_configuration({"prompt": "p" * 7000})
        tracker.finish()
        assert all_runs(uri)[0].data.params == {"prompt": "p" * 6000}
        assert tracker.clipped == {"prompt": 2}
        assert not tracker.dropped

    def test_artifacts_and_figures(self, tmp_path: Path, uri: str) -> None:
        """Files, folders and figures arrive under the paths asked for."""
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "one.txt").write_text("1")
        figure, axes = plt.subplots()
        axes.plot([0, 1])
        tracker = self.make(tmp_path)
        tracker.start()
        tracker.log_artifact(tmp_path / "data" / "one.txt", "notes")
        tracker.log_artifacts(tmp_path / "data")
        tracker.log_figure(figure, "plots/line.png", dpi=50)
        tracker.log_images({"bad/na@me": [[0.0, 1.0]]}, step=3)
        tracker.finish()
        plt.close(figure)
        root = tmp_path / "mlartifacts" / tracker.run_id / "artifacts"
        assert (root / "notes" / "one.txt").read_text() == (root / "one.txt").read_text() == "1"
        with Image.open(root / "plots" / "line.png") as image:
            assert image.size == (320, 240)
        assert len(list((root / "images").glob("bad~na_me-*+step+3+*.png"))) == 1
        assert all_runs(uri)[0].data.tags["mlflow.loggedImages"] == "True"

    def test_in_a_worker_thread(self, tmp_path: Path, uri: str, in_worker: Callable[[Callable[[], Any]], Any]) -> None:
        """A tracker that lives in another thread writes one run, which is nobody's active run."""

        def live() -> bool:
            self.written(tmp_path, ({"loss": 0.5}, 0), ({"loss": 0.25}, 1))
            return mlflow.active_run() is None

        assert in_worker(live)
        (run,) = all_runs(uri)
        assert [one.value for one in MlflowClient(uri).get_metric_history(run.info.run_id, "loss")] == [0.5, 0.25]

    def test_beside_the_users_own_run(self, uri: str, in_worker: Callable[[Callable[[], Any]], Any]) -> None:
        """An active fluent run keeps its values and its status; a nested tracker run is its child."""
        mlflow.set_tracking_uri(uri)
        with mlflow.start_run() as own:
            alone = written_in(uri)
            nested = MLflowTracker(nested_run=True)
            in_worker(nested.start)
            nested.finish()
            assert mlflow.active_run().info.run_id == own.info.run_id
            assert MlflowClient(uri).get_run(own.info.run_id).info.status == "RUNNING"
        assert "mlflow.parentRunId" not in alone.data.tags
        child = MlflowClient(uri).get_run(nested.run_id)
        assert child.data.tags["mlflow.parentRunId"] == own.info.run_id
        assert MlflowClient(uri).get_run(own.info.run_id).data.metrics == {}

    def test_arguments_reach_the_run(self, uri: str) -> None:
        """Name, tags, description and the tags that MLflow itself sets are on the run."""
        run = written_in(uri, run_name="fast one", tags='{"team": "vision", "version": 2}', description="about it")
        assert run.info.run_name == "fast one"
        expected = {"team": "vision", "version": "2", "mlflow.note.content": "about it"}
        assert run.data.tags.items() >= expected.items()
        assert {"mlflow.user", "mlflow.source.name", "mlflow.source.type"} <= set(run.data.tags)

    def test_variables_win(self, uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """MLFLOW_EXPERIMENT_NAME, MLFLOW_TAGS and MLFLOW_RUN_ID replace the arguments."""
        monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "from variable")
        monkeypatch.setenv("MLFLOW_TAGS", '{"team": "variable"}')
        monkeypatch.setenv("MLFLOW_NESTED_RUN", "true")
        assert MLflowTracker().nested_run
        run = written_in(uri, experiment_name="argument", tags={"team": "argument"})
        assert MlflowClient(uri).get_experiment(run.info.experiment_id).name == "from variable"
        assert run.data.tags["team"] == "variable"
        monkeypatch.setenv("MLFLOW_RUN_ID", run.info.run_id)
        assert written_in(uri, run_id="argument").info.run_id == run.info.run_id

    def test_bad_tags(self) -> None:
        """Tags that are no dictionary are refused with the names of both places."""
        with pytest.raises(ValueError, match="`tags` and MLFLOW_TAGS"):
            MLflowTracker(tags="team=vision")

    def test_continuing_a_run(self, uri: str) -> None:
        """The given run gets the new values, tags and name, and its stored hyperparameters stay."""
        first = MLflowTracker(tracking_uri=uri)
        first.start()
        first.store_init_configuration({"lr": 0.1, "layers": [1, 2]})
        first.log({"loss": 1.0}, step=0)
        first.finish()
        again = MLflowTracker(run_id=first.run_id, tracking_uri=uri, run_name="renamed", tags={"part": 2})
        again.start()
        assert MlflowClient(uri).get_run(first.run_id).info.status == "RUNNING"
        with pytest.warns(AccelTrackWarning, match="'lr'"):
            again.store_init_configuration({"lr": 0.2, "layers": [1, 2]})
        again.log({"loss": 0.5}, step=1)
        again.finish()
        (run,) = all_runs(uri)
        history = MlflowClient(uri).get_metric_history(run.info.run_id, "loss")
        assert [(one.step, one.value) for one in history] == [(0, 1.0), (1, 0.5)]
        assert (run.info.run_name, run.info.status, run.data.tags["part"]) == ("renamed", "FINISHED", "2")

    def test_experiment_names(self, uri: str) -> None:
        """Quotes work, an existing experiment is used again, and no name means MLflow's default one."""
        name = """it's "quoted" 100%"""
        runs = [written_in(uri, experiment_name=name), written_in(uri, experiment_name=name), written_in(uri)]
        assert runs[0].info.experiment_id == runs[1].info.experiment_id
        client = MlflowClient(uri)
        assert client.get_experiment(runs[0].info.experiment_id).name == name
        assert client.get_experiment(runs[2].info.experiment_id).name == "Default"

    def test_a_deleted_experiment_is_restored(self, uri: str) -> None:
        """A run in a deleted experiment brings the experiment back, and says so."""
        client = MlflowClient(uri)
        deleted = client.create_experiment("gone")
        client.delete_experiment(deleted)
        with pytest.warns(AccelTrackWarning, match="'gone' was deleted"):
            run = written_in(uri, experiment_name="gone")
        assert run.info.experiment_id == deleted
        assert client.get_experiment(deleted).lifecycle_stage == "active"

    def test_an_experiment_created_meanwhile(self, uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """When another process creates the experiment between looking and creating, it is used."""
        create = MlflowClient.create_experiment

        def too_late(client: MlflowClient, name: str, **arguments: Any) -> str:
            create(MlflowClient(uri), name)
            return create(client, name, **arguments)

        monkeypatch.setattr(MlflowClient, "create_experiment", too_late)
        run = written_in(uri, experiment_name="raced")
        assert MlflowClient(uri).get_experiment(run.info.experiment_id).name == "raced"

    @pytest.mark.first(2)
    @pytest.mark.parametrize(
        "odd", ["with space % and ünicode", "what?a=b&c", "a%20b", "a%3Fb", "#\\'\"[*]", "file:x;y@z"]
    )
    def test_default_database(
        self, odd: str, tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Without any URI, `mlflow.db` is in the directory given or the current one, whatever its path holds."""
        folder = tmp_path / "all" / odd
        (folder / "here").mkdir(parents=True)
        monkeypatch.chdir(folder / "here")
        (folder / "here" / "mlruns" / "0").mkdir(parents=True)
        (folder / "here" / "mlruns" / "0" / "meta.yaml").touch()  # makes MLflow choose its file store
        for place in (folder, folder / "here"):
            shutil.copy(empty_database, place)
        given = MLflowTracker.for_run("digits", None, folder, {})
        for tracker in (given, MLflowTracker("digits")):
            tracker.start()
            tracker.log({"loss": 0.5}, step=0)
            identity = tracker.identity()
            tracker.finish()
            monkeypatch.chdir(tmp_path)
            again = MLflowTracker(**identity)
            again.start()
            again.finish()
            monkeypatch.chdir(folder / "here")
        for place in (folder, folder / "here"):
            monkeypatch.chdir(place)
            with closing(sqlite3.connect("mlflow.db")) as database:
                assert database.execute("select key, value from metrics").fetchall() == [("loss", 0.5)]
        assert sorted(path.name for path in folder.iterdir()) == [".mlflow.db.lock", "here", "mlflow.db"]
        assert [path.name for path in (tmp_path / "all").iterdir()] == [odd]

    def test_a_relative_database(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is where it was when the run began, also after a `chdir` and for a process that starts elsewhere."""
        monkeypatch.chdir(tmp_path)
        tracker = MLflowTracker(tracking_uri="sqlite:///mlflow.db")
        tracker.start()
        assert tracker.identity()["tracking_uri"] == f"sqlite:///{tmp_path}/mlflow.db"
        tracker.finish()

    def test_an_older_sqlalchemy_and_a_question_mark(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where no address stands for the path, the error says what to do."""
        make_url = sqlalchemy.engine.make_url
        monkeypatch.setattr(sqlalchemy.engine, "make_url", lambda text: make_url(text.replace("%", "%25")))
        with pytest.raises(ValueError, match=r"holds '\?'.*use another folder"):
            MLflowTracker.for_run("digits", None, tmp_path / "what?", {}).start()

    def test_who_decides_on_the_uri(self, tmp_path: Path, uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """The argument, then `mlflow.set_tracking_uri`, then the variable, all before the front door's directory."""
        shutil.copy(tmp_path / "mlflow.db", tmp_path / "other.db")
        other = f"sqlite:///{tmp_path}/other.db"

        def started(**init_kwargs: Any) -> str:
            tracker = MLflowTracker.for_run("digits", None, tmp_path / "unused", init_kwargs)
            tracker.start()
            tracker.finish()
            return str(tracker.client.tracking_uri)

        monkeypatch.setenv("MLFLOW_TRACKING_URI", other)
        assert started() == other
        mlflow.set_tracking_uri(uri)
        assert started() == uri
        assert started(tracking_uri=other) == other
        assert not (tmp_path / "unused").exists()

    def test_a_failed_start_leaves_nothing(self, uri: str) -> None:
        """A run that cannot be continued leaves the tracker unstarted."""
        tracker = MLflowTracker(run_id="nowhere", tracking_uri=uri)
        with pytest.raises(mlflow.MlflowException, match="nowhere"):
            tracker.start()
        assert not tracker.started
        with pytest.raises(NotStartedError):
            tracker.log_images({"a": [[0.0]]})

    def test_after_finish(self, tmp_path: Path) -> None:
        """Nothing is written after the end, and nothing before the start."""
        tracker = self.make(tmp_path)
        for _ in range(2):
            with pytest.raises(NotStartedError):
                tracker.log({"loss": 1.0}, step=0)
            tracker.start()
            tracker.finish()
        assert [len(points) for points in self.read(tmp_path).metrics.values()] == []

    def test_a_repeated_delivery_changes_nothing(self, tmp_path: Path) -> None:
        """MLflow ignores a metric that it has, whole batches and parts of them, NaN too."""
        tracker = self.make(tmp_path)
        tracker.start()
        records = [Metrics(i, 1.6e9 + i, {f"m{j}": i + j for j in range(7)} | {"n": math.nan}, i) for i in range(200)]
        tracker.log_batch(records[:100])
        tracker.log_batch(records)
        tracker.log_batch(records[50:150])
        tracker.finish()
        stored = self.read(tmp_path)
        assert all(len(points) == 200 for points in stored.metrics.values())
        assert stored.metrics["m3"] == [(i, float(i + 3)) for i in range(200)]
        assert stored.times["m3"] == [1.6e9 + i for i in range(200)]

    def test_batches_are_stored_as_mlflow_stores_them(self, tmp_path: Path) -> None:
        """Every row of both tables is the same as with `MlflowClient.log_batch`, in the same order."""
        calls: list[tuple[dict[str, Any], int | None]] = [
            ({"a": i / 7, "b@c": -i, "n": math.nan}, i) for i in range(99)
        ]
        calls += [({"a": 5.0, "n": 1.0}, 7), ({"a": 6, "new": True}, None), ({"a": 7.0, "b@c": math.nan}, 98)]
        records = [Metrics(i, 1.6e9 + i / 10, values, step) for i, (values, step) in enumerate(calls)]
        found = []
        for fast in (True, False):
            tracker = self.make(tmp_path)
            tracker.start()
            assert tracker.fast(DatabasePath).fast is not None
            if not fast:
                tracker.fast(DatabasePath).close()
            for begin in (0, 40, 80, 30):
                tracker.log_batch(records[begin : begin + 40])
            tracker.finish()
            columns = "key, value, timestamp, step, is_nan"
            tables = [f"select {columns} from {name} where run_uuid = ?" for name in ("metrics", "latest_metrics")]
            with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database:
                rows = [database.execute(table, (tracker.run_id,)).fetchall() for table in tables]
            found.append((rows[0], sorted(rows[1])))
        assert found[0] == found[1]
        assert len(found[0][0]) == sum(len(values) for values, _ in calls)

    def test_a_refused_call_among_many(self, tmp_path: Path) -> None:
        """A step that no database takes refuses the whole batch, and nothing of it is stored."""
        tracker = self.make(tmp_path)
        tracker.start()
        records = [Metrics(i, 1.6e9 + i, {"x": i / 4, "y": i}, i) for i in range(1000)]
        records[700] = Metrics(700, 1.6e9 + 700, {"x": 1.0}, 2**63)
        refused = []

        def send(part: list[Metrics]) -> None:
            try:
                tracker.log_batch(part)
            except ValueError:
                if len(part) == 1:
                    refused.append(part[0])
                    return
                send(part[: len(part) // 2])
                send(part[len(part) // 2 :])

        with pytest.raises(ValueError, match="step") as caught:
            tracker.log_batch(records)
        assert not tracker.is_transient(caught.value)
        assert not tracker.client.get_metric_history(tracker.run_id, "x")
        send(records)
        tracker.finish()
        assert refused == [records[700]]
        assert self.read(tmp_path).metrics["x"] == [(i, i / 4) for i in range(1000) if i != 700]

    def test_a_deleted_run(self, tmp_path: Path) -> None:
        """It takes no metrics, as everywhere in MLflow."""
        tracker = self.make(tmp_path)
        tracker.start()
        tracker.client.delete_run(tracker.run_id)
        with pytest.raises(MlflowException, match="active"):
            tracker.log({"x": 1.0}, step=0)

    def test_metrics_of_an_active_model(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """MLflow adds them to the model that is active, and is given them in its own way."""
        tracker = self.make(tmp_path)
        tracker.start()
        monkeypatch.setattr(mlflow, "get_active_model_id", lambda: "m-1")
        monkeypatch.setattr(tracker.fast(DatabasePath), "send", lambda *_: pytest.fail("past the model"))
        tracker.log({"x": 1.0}, step=0)
        monkeypatch.undo()
        tracker.finish()
        assert self.read(tmp_path).metrics == {"x": [(0, 1.0)]}

    @pytest.mark.first(4)
    @pytest.mark.parametrize("when", ["before", "during"])
    @pytest.mark.parametrize("part", private_parts(DatabasePath))
    def test_a_private_part_that_is_gone(
        self, part: str, when: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """With one warning, what is stored is what `MlflowClient.log_batch` stores, each value once."""
        tracker = self.make(tmp_path)
        records = [Metrics(i, 1.6e9 + i, {"x": i / 4, "y": math.nan}, i) for i in range(4)]
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", AccelTrackWarning)
            if when == "before":
                hide(part, MlflowClient(f"sqlite:///{tmp_path}/mlflow.db"), monkeypatch)
            tracker.start()
            if when == "during":
                tracker.log_batch(records[:2])
                hide(part, tracker.client, monkeypatch)
            tracker.log_batch(records)
            tracker.log_batch(records[2:])
            monkeypatch.undo()
            tracker.finish()
        shown = [str(one.message) for one in caught if one.category is AccelTrackWarning]
        assert len(shown) <= 1, shown
        assert when == "during" or "goes on with its public calls" in shown[0]
        stored = self.read(tmp_path)
        assert stored.metrics["x"] == [(i, i / 4) for i in range(4)]
        assert [step for step, _ in stored.metrics["y"]] == list(range(4))

    @pytest.mark.parametrize(
        ("change", "stored"),
        [
            ("alter table metrics rename column is_nan to odd", False),
            ("alter table metrics add column more text default 'x' not null", True),
        ],
    )
    def test_another_schema_in_mid_run(self, change: str, stored: bool, tmp_path: Path) -> None:
        """It is no fault of the records: they are given to the public call, whose errors are the backend's own."""
        tracker = self.make(tmp_path)
        tracker.start()
        with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database:
            database.execute(change)
        with warnings.catch_warnings(record=True) as caught, suppress(MlflowException):
            warnings.simplefilter("always", AccelTrackWarning)
            tracker.log({"x": 1.0}, step=0)
        assert [one for one in caught if "goes on with its public calls" in str(one.message)] or stored
        with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database:
            assert len(database.execute("select * from metrics").fetchall()) == stored

    def test_integers_beyond_all_floats(self, tmp_path: Path) -> None:
        """They are counted, and harm nothing beside them."""
        with pytest.warns(AccelTrackWarning, match="dropped 'huge'"):
            tracker, stored = self.written(tmp_path, ({"huge": 2**2000, "fine": 1}, 0))
        assert stored.metrics == {"fine": [(0, 1.0)]}
        assert tracker.dropped == {"huge": 1}

    def test_log_arguments_of_a_batch(self, tmp_path: Path) -> None:
        """Further arguments of each call reach MLflow."""
        tracker = self.make(tmp_path)
        tracker.start()
        odd = Metrics(1, 1.6e9, {"b": 2.0}, 1, {"mlflow": {"nonsense": 1}})
        with pytest.raises(TypeError, match="nonsense"):
            tracker.log_batch([Metrics(0, 1.6e9, {"a": 1.0}, 0), odd])
        tracker.finish()
        assert self.read(tmp_path).metrics == {"a": [(0, 1.0)]}

    @pytest.mark.long  # MLflow waits for twenty seconds
    def test_a_locked_database_may_pass(self, tmp_path: Path) -> None:
        """A batch can be repeated when another program has released the database; what it drops is counted once."""
        tracker = self.make(tmp_path)
        tracker.start()
        record = Metrics(0, 1.6e9, {"loss": 0.5, "text": "dropped"}, 0)
        with sqlite3.connect(tmp_path / "mlflow.db") as other:
            other.execute("BEGIN EXCLUSIVE")
            with pytest.raises(mlflow.MlflowException, match="locked") as caught:
                tracker.log_batch([record])
            assert tracker.is_transient(caught.value)
            assert not tracker.dropped
            other.rollback()
        with pytest.warns(AccelTrackWarning, match="'text'"):
            tracker.log_batch([record])
        tracker.finish()
        assert self.read(tmp_path).metrics == {"loss": [(0, 0.5)]}
        assert tracker.dropped == {"text": 1}

    def test_a_run_whose_creation_was_not_answered(self, uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """The next start finds it, and the one after the next makes a run of its own."""
        create = MlflowClient.create_run

        def unanswered(client: MlflowClient, *arguments: Any, **more: Any) -> Run:
            create(client, *arguments, **more)
            raise requests.ConnectionError("no answer")

        tracker = MLflowTracker(tracking_uri=uri)
        with monkeypatch.context() as patch:
            patch.setattr(MlflowClient, "create_run", unanswered)
            with pytest.raises(requests.ConnectionError) as caught:
                tracker.start()
        assert tracker.is_transient(caught.value)
        assert not tracker.started
        for number in (1, 2):
            tracker.start()
            tracker.finish()
            assert [run.info.status for run in all_runs(uri)] == ["FINISHED"] * number

    def test_what_does_not_pass(self, tmp_path: Path, uri: str) -> None:
        """A run that is not there and a value that MLflow refuses are no matter of time; a deleted run can be left."""
        lost = MLflowTracker(run_id="nowhere", tracking_uri=uri)
        with pytest.raises(mlflow.MlflowException) as caught:
            lost.start()
        assert not lost.is_transient(caught.value)
        tracker = self.make(tmp_path)
        tracker.start()
        with pytest.raises(ValueError, match="step") as refused:
            tracker.log({"loss": 0.5}, step=2**70)
        assert not tracker.is_transient(refused.value)
        MlflowClient(uri).delete_experiment(tracker.tracker.info.experiment_id)
        with sqlite3.connect(tmp_path / "mlflow.db") as database:
            database.execute("delete from runs")
        with pytest.raises(mlflow.MlflowException) as caught:
            tracker.finish()
        assert not tracker.is_transient(caught.value)
        assert tracker.concerns_run(caught.value)
        assert tracker.started  # to be finished once the run is there again

    def test_identity_holds_no_password(self, uri: str) -> None:
        """A URI with a password is left to the user's own arguments or variables."""
        tracker = MLflowTracker(tracking_uri=uri)
        assert (tracker.identity(), tracker.page()) == ({}, None)
        tracker.start()
        run_id = tracker.tracker.info.run_id
        assert (tracker.identity(), tracker.page()) == ({"run_id": run_id, "tracking_uri": uri}, None)
        database, tracker.client = tracker.client, MlflowClient("http://user:pass@localhost:1")
        assert tracker.identity() == {"run_id": run_id}
        tracker.client = database
        tracker.finish()

    def test_the_users_own_waits(self, uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Waits are shortened unless the user has set them."""
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "x")  # remembered by monkeypatch, which then restores it
        monkeypatch.delenv("MLFLOW_HTTP_REQUEST_TIMEOUT")
        written_in(uri)
        assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "3"
        assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "10"

    def test_it_needs_no_configuration(self) -> None:
        """A local database always works."""
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert MLflowTracker.not_configured({}) is None

    @pytest.mark.parametrize(
        ("outcome", "status"),
        [
            (FINISHED, "FINISHED"),
            (Outcome("failed", "ValueError: no"), "FAILED"),
            (Outcome("interrupted"), "KILLED"),
            (Outcome("preempted", "SystemExit: 143"), "KILLED"),
        ],
    )
    def test_the_final_status(self, tmp_path: Path, uri: str, outcome: Outcome, status: str) -> None:
        """MLflow's status is that of the run, tags tell the rest, and a continued run begins without them."""
        tracker = self.make(tmp_path)
        tracker.start()
        identity = tracker.identity()
        tracker.outcome = outcome
        tracker.finish()
        (run,) = all_runs(uri)
        assert run.info.status == status
        expected = None if outcome == FINISHED else outcome.status
        assert run.data.tags.get("accel_track.status") == expected
        assert run.data.tags.get("accel_track.reason") == outcome.reason
        again = MLflowTracker.for_run("contract", None, tmp_path, identity)
        again.start()
        assert all_runs(uri)[0].info.status == "RUNNING"
        again.finish()
        (run,) = all_runs(uri)
        assert run.info.status == "FINISHED"
        assert not {"accel_track.status", "accel_track.reason"} & set(run.data.tags)

    def test_after_a_kill_another_process_continues(self, tmp_path: Path, uri: str) -> None:
        """The run of a killed process goes on elsewhere, fails there, goes on again, and is one run with everything."""
        code = """if True:
            import json, os, signal, sys
            from accel_track.outcome import Outcome
            from accel_track.trackers.mlflow.tracker import MLflowTracker
            first, kwargs = int(sys.argv[1]), json.loads(sys.argv[2])
            tracker = MLflowTracker.for_run("killed", "one", None, kwargs)
            tracker.start()
            tracker.store_init_configuration({"lr": 0.1, f"part{first}": first})
            for step in range(first, first + 5):
                tracker.log({"loss": step / 4}, step=step)
            tracker.flush()
            print(json.dumps(tracker.identity()), flush=True)
            if not first:
                os.kill(os.getpid(), signal.SIGKILL)
            tracker.outcome = Outcome("failed", "OSError: disk")
            tracker.finish()
        """
        kwargs = {"tracking_uri": uri}
        for first, code_of_exit, status in ((0, -signal.SIGKILL, "RUNNING"), (5, 0, "FAILED")):
            command = [sys.executable, "-c", code, str(first), json.dumps(kwargs)]
            done = warm.run(command, timeout=90)
            assert done.returncode == code_of_exit, done.stderr
            kwargs |= json.loads(done.stdout.splitlines()[0])
            assert all_runs(uri)[0].info.status == status
        tracker = MLflowTracker.for_run("killed", "one", None, kwargs)
        tracker.start()
        tracker.log({"loss": 10 / 4}, step=10)
        tracker.finish()
        (run,) = all_runs(uri)
        history = MlflowClient(uri).get_metric_history(run.info.run_id, "loss")
        assert [(point.step, point.value) for point in history] == [(step, step / 4) for step in range(11)]
        assert run.data.params == {"lr": "0.1", "part0": "0", "part5": "5"}
        assert run.info.status == "FINISHED"

    def test_rewind(self, tmp_path: Path, uri: str) -> None:
        """A step that is logged again has both values; the new one is what MLflow shows as the latest."""
        tracker = self.make(tmp_path)
        tracker.start()
        tracker.log_batch([Metrics(i, 1.6e9 + i, {"loss": float(i)}, i) for i in range(5)])
        tracker.rewind(3)
        tracker.log_batch([Metrics(i, 1.6e9 + 10 + i, {"loss": 10.0 + i}, i) for i in (3, 4)])
        tracker.finish()
        points = sorted(self.read(tmp_path).metrics["loss"])
        assert points == [(0, 0.0), (1, 1.0), (2, 2.0), (3, 3.0), (3, 13.0), (4, 4.0), (4, 14.0)]
        assert all_runs(uri)[0].data.metrics["loss"] == 14.0

    def test_checkpoints(self, tmp_path: Path) -> None:
        """A file and a folder are stored before the call returns, replaced under their name, and deleted."""
        tracker = self.make(tmp_path)
        tracker.start()
        root = tmp_path / "mlartifacts" / tracker.run_id / "artifacts" / "checkpoints"
        for text, parts in (("old", ("a", "in/b", "in/c")), ("new", (".meta", "in/b"))):
            file, folder = tmp_path / f"{text}.ckpt", tmp_path / text
            file.write_text(text)
            for part in parts:
                (folder / part).parent.mkdir(parents=True, exist_ok=True)
                (folder / part).write_text(text + part)
            tracker.log_checkpoint("epoch=3", str(file), 400, {"score": 0.5, "best": text == "new"})
            tracker.log_checkpoint("last 100%", str(folder), None, {})
            file.unlink()
            shutil.rmtree(folder)
        about = json.loads((root / "epoch=3" / "accel_track.json").read_text())
        assert about == {"step": 400, "score": 0.5, "best": True}
        for name in ("epoch=3", "never stored"):
            tracker.describe_checkpoint(name, 400, {"score": 0.5, "best": False})
        about = json.loads((root / "epoch=3" / "accel_track.json").read_text())
        assert about == {"step": 400, "score": 0.5, "best": False}
        assert {one.name for one in (root / "epoch=3").iterdir()} == {"new.ckpt", "accel_track.json"}
        assert not (root / "never stored").exists()
        assert (root / "epoch=3" / "new.ckpt").read_text() == "new"
        (sharded,) = root.glob("last 100_-*")
        stored = {one.relative_to(sharded).as_posix(): one.read_text() for one in sharded.rglob("*") if one.is_file()}
        assert stored.pop("accel_track.json")
        assert stored == {".meta": "new.meta", "in/b": "newin/b"}
        for _ in range(2):
            tracker.delete_checkpoint("epoch=3")
        tracker.finish()
        assert list(root.iterdir()) == [sharded]

    def test_a_second_run_of_one_tracker(self, uri: str) -> None:
        """Started again, a tracker makes a run of its own, whose hyperparameters may differ."""
        tracker = MLflowTracker(tracking_uri=uri)
        for lr in (0.1, 0.2):
            tracker.start()
            with warnings.catch_warnings():
                warnings.simplefilter("error", AccelTrackWarning)
                tracker.store_init_configuration({"lr": lr})
            tracker.finish()
        assert sorted(run.data.params["lr"] for run in all_runs(uri)) == ["0.1", "0.2"]
