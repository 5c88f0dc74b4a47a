"""What scripts and configuration files for Lightning's own loggers hand over and call."""

import re
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
import torch
from lightning.fabric import Fabric
from lightning.pytorch.loggers import CSVLogger, MLFlowLogger, TensorBoardLogger, WandbLogger
from mlflow import MlflowClient
from omegaconf import OmegaConf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.tensorboard import SummaryWriter

from accel_track import AccelTrackCallback, AccelTrackLogger
from accel_track.errors import AccelTrackWarning, ElsewhereError
from accel_track.journal.directory import find_runs
from accel_track.lightning import loggers_like
from accel_track.media.kinds import Image as AccelImage
from accel_track.media.kinds import Medium
from accel_track.registry import LOGGER_TYPE_TO_CLASS
from accel_track.testing import RecordingTracker
from tests.support.models import Tiny, batches, trainer
from tests.support.pictures import pixels

RED = np.zeros((4, 4, 3), np.uint8) + np.array([255, 0, 0], np.uint8)


class Other(RecordingTracker):
    name = "other"


def logged(tracker: RecordingTracker) -> list[tuple[dict[str, Any], int | None]]:
    return [(call[1], call[2]) for call in tracker.calls if call[0] == "log"]


def events(folder: str | Path) -> EventAccumulator:
    (file,) = Path(folder).glob("events.out.tfevents.*")
    accumulator = EventAccumulator(str(file), size_guidance={"scalars": 0, "images": 0})
    accumulator.Reload()
    return accumulator


# -- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "folder", "project"),
    [
        ({}, "lightning_logs/version_0", "lightning_logs"),
        ({"name": "digits"}, "digits/version_0", "digits"),
        ({"name": None}, "version_0", "lightning_logs"),
        ({"name": ""}, "version_0", "lightning_logs"),
        ({"name": "csv/"}, "csv/version_0", "csv"),
        ({"name": "a/b"}, "a/b/version_0", "a-b"),
        ({"name": "a/b", "version": "best"}, "a/b/best", "a-b"),
        ({"name": "a", "version": ""}, "a", "a"),
        ({"name": "", "version": ""}, "", "lightning_logs"),
        ({"name": "a", "sub_dir": "events/x"}, "a/version_0/events/x", "a"),
    ],
)
def test_names_are_folders_as_with_lightnings_own_logger(arguments: dict[str, Any], folder: str, project: str) -> None:
    theirs = TensorBoardLogger("theirs", **arguments)
    ours = AccelTrackLogger(["tensorboard", "jsonl"], save_dir="ours", **arguments)
    assert ours.log_dir.replace("ours", "theirs") == theirs.log_dir
    assert Path(ours.root_dir.replace("ours", "theirs")) == Path(theirs.root_dir)
    assert ours.name == theirs.name.strip("/")
    fitted = trainer(ours)
    fitted.fit(Tiny(), batches())
    run_folder = Path("ours", folder.removesuffix("/events/x"))
    assert list((run_folder / "checkpoints").glob("*.ckpt"))
    assert [event.step for event in events(Path("ours", folder)).Scalars("loss")] == [1, 3, 5, 7]
    assert list(Path("ours", folder).glob("*.jsonl"))
    assert Path(fitted.log_dir) == Path("ours", folder)
    (run,) = find_runs("ours")
    assert run.load().project == project
    ours.finish()


def test_versions_are_counted_in_the_folder_of_the_name() -> None:
    for expected in range(2):
        logger = AccelTrackLogger(RecordingTracker(), "a/b", save_dir="logs")
        logger.log_metrics({"loss": 1.0})
        assert (logger.version, Path(logger.log_dir)) == (expected, Path(f"logs/a/b/version_{expected}"))
        logger.finish()


def test_a_run_without_folders_of_its_own_is_continued_where_it_is() -> None:
    for start in range(2):
        logger = AccelTrackLogger(
            ["jsonl", "tensorboard"], "a/b", 7, save_dir="logs", resume="auto" if start else "never"
        )
        logger.log_metrics({"loss": float(start)}, step=start)
        logger.finish("interrupted")
    assert len(list(find_runs("logs"))) == 1
    (file,) = Path("logs/a/b/version_7").glob("*.jsonl")
    assert len(file.read_text().splitlines()) == 2
    assert len(list(Path("logs/a/b/version_7").glob("events.*"))) == 2


# -- arguments of Lightning's loggers ---------------------------------------------------------------------------------


def test_a_configuration_of_a_hydra_template() -> None:
    config = OmegaConf.create(
        {
            "log_with": ["jsonl", "tensorboard"],
            "save_dir": "logs/tensorboard/",
            "name": None,
            "log_graph": False,
            "default_hp_metric": True,
            "prefix": "",
            "offline": False,
            "group": "",
            "tags": [],
            "log_model": False,
            "init_kwargs": {"tensorboard": {"flush_secs": 3}},
        }
    )
    logger = AccelTrackLogger(**config)
    logger.log_metrics({"loss": 1.0}, 0)
    assert [tracker.name for tracker in logger.trackers] == ["jsonl", "tensorboard"]
    assert logger.trackers[1].init_kwargs == {"flush_secs": 3}  # type: ignore[attr-defined]
    logger.finish()
    assert list(Path("logs/tensorboard/version_0").glob("events.*"))


@pytest.mark.parametrize(
    ("arguments", "folder"),
    [
        ({"project": "p"}, "p/version_0"),
        ({"project": "p", "name": "r"}, "p/r"),
        ({"experiment_name": "e", "run_name": "r"}, "e/r"),
        ({"name": "n", "run_name": "r"}, "n/r"),
        ({"project": None, "experiment_name": "", "run_name": None}, "lightning_logs/version_0"),
    ],
)
def test_what_others_call_project_and_run(arguments: dict[str, Any], folder: str) -> None:
    assert Path(AccelTrackLogger(RecordingTracker(), **arguments).log_dir) == Path(folder)


BACKENDS = ["wandb", "swanlab", "clearml", "mlflow", "comet_ml", "trackio", "tensorboard"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"tracking_uri": "sqlite:///a.db"}, {"mlflow": {"tracking_uri": "sqlite:///a.db"}}),
        ({"artifact_location": "art"}, {"mlflow": {"logging_dir": "art"}}),
        ({"run_id": "17"}, {"mlflow": {"run_id": "17"}}),
        ({"group": "g"}, {name: {"group": "g"} for name in ("wandb", "swanlab", "trackio")}),
        (
            {"tags": OmegaConf.create(["a", "b"])},
            {
                **{name: {"tags": ["a", "b"]} for name in ("wandb", "swanlab", "clearml")},
                "mlflow": {"tags": {"a": "", "b": ""}},
            },
        ),
        (
            {"tags": {"a": 1}},
            {**{name: {"tags": ["a:1"]} for name in ("wandb", "swanlab", "clearml")}, "mlflow": {"tags": {"a": 1}}},
        ),
    ],
)
def test_arguments_go_to_the_trackers_that_know_them(given: dict[str, Any], expected: dict[str, Any]) -> None:
    logger = AccelTrackLogger(BACKENDS, **given)
    assert logger._session.init_kwargs == expected
    mine = AccelTrackLogger(
        BACKENDS, init_kwargs={name: dict.fromkeys(own, "mine") for name, own in expected.items()}, **given
    )
    assert all(value == "mine" for own in mine._session.init_kwargs.values() for value in own.values())


def test_offline() -> None:
    logger = AccelTrackLogger(["wandb", "swanlab", "comet_ml", "tensorboard", "mlflow"], offline=True)
    assert logger._session.init_kwargs == {
        "wandb": {"mode": "offline"},
        "swanlab": {"mode": "offline"},
        "comet_ml": {"online": False},
    }
    AccelTrackLogger("tensorboard", offline=True)  # as it is anyway
    for log_with, more in (("clearml", {}), (RecordingTracker(), {}), ("mlflow", {"tracking_uri": "http://host"})):
        with pytest.raises(ValueError, match=r"`offline`: .* has no such setting.*delivery='none'"):
            AccelTrackLogger(log_with, offline=True, **more)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            {"group": "g"},
            ValueError,
            "`group` is for wandb, swanlab, trackio, and the trackers are tensorboard; leave it out",
        ),
        ({"tracking_uri": "http://h"}, ValueError, "`tracking_uri` is for mlflow"),
        ({"tags": ["a"]}, ValueError, "`tags` is for wandb, swanlab, clearml, mlflow"),
        ({"log_model": True}, ValueError, "give the Trainer `AccelTrackCallback(log_checkpoints='best')`"),
        ({"log_model": "all"}, ValueError, "give the Trainer `AccelTrackCallback(log_checkpoints='all')`"),
        ({"project": "p", "experiment_name": "e"}, ValueError, "`project` and `experiment_name` both name the project"),
        ({"experiment_name": "e", "name": "n"}, ValueError, "`experiment_name` and `name` both name the project"),
        ({"run_name": "e", "version": 3}, ValueError, "`version` and `run_name` both name the run"),
        ({"sub_dir": "../x"}, ValueError, "`sub_dir` is used as a folder name"),
        (
            {"entity": "team"},
            TypeError,
            "no argument 'entity': it goes to one tracker: init_kwargs={'wandb': {'entity': …}}",
        ),
        ({"repo": "x"}, TypeError, "no argument 'repo': it is called `save_dir` here"),
    ],
)
def test_arguments_that_mean_nothing(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        AccelTrackLogger(**arguments)


# -- native objects ---------------------------------------------------------------------------------------------------


def test_mlflows_experiment_is_a_run_and_a_client() -> None:
    logger = AccelTrackLogger("mlflow", save_dir="logs")
    experiment, run_id = logger.experiment, logger.run_id
    assert isinstance(experiment, MlflowClient)
    assert experiment.info.run_id == run_id != logger.id
    assert experiment.data.params == {}
    Path("note.txt").write_text("hello")
    experiment.log_artifact(run_id, "note.txt")  # as with Lightning's MLFlowLogger
    experiment.log_param(run_id, "own", 3)
    assert isinstance(logger.get_tracker("mlflow", unwrap=True), mlflow.entities.Run)
    assert logger.url is None  # a database has no page
    with pytest.raises(AttributeError, match="nonsense"):
        _ = experiment.nonsense
    logger.finish()
    client = MlflowClient(f"sqlite:///{Path.cwd()}/logs/mlflow.db")
    assert [one.path for one in client.list_artifacts(run_id)] == ["note.txt"]
    assert client.get_run(run_id).data.params["own"] == "3"


def test_the_experiment_of_several_trackers_has_what_any_of_them_has() -> None:
    logger = AccelTrackLogger(["tensorboard", "mlflow"], save_dir="logs")
    experiment = logger.experiment
    assert isinstance(experiment, SummaryWriter)
    experiment.add_scalar("native", 0.5, 3)
    Path("note.txt").write_text("hello")
    experiment.log_artifact(logger.run_id, "note.txt")
    with pytest.raises(AttributeError, match="neither SummaryWriter nor the native object of mlflow has 'nonsense'"):
        _ = experiment.nonsense
    experiment.mark = 3
    assert logger.get_tracker("tensorboard", unwrap=True).mark == 3
    logger.finish()
    assert [event.value for event in events("logs/lightning_logs/version_0").Scalars("native")] == [0.5]
    client = MlflowClient(f"sqlite:///{Path.cwd()}/logs/mlflow.db")
    (run,) = client.search_runs([one.experiment_id for one in client.search_experiments()])
    assert [one.path for one in client.list_artifacts(run.info.run_id)] == ["note.txt"]


def test_the_experiment_is_indexed_as_the_first_ones() -> None:
    tracker = RecordingTracker()
    logger = AccelTrackLogger([tracker, Other()])
    assert logger.experiment[0] == ("start",)
    logger.experiment[0] = ("begun",)
    assert tracker.calls[0] == ("begun",)
    assert logger.run_id == logger.id == logger.open().run_id
    logger.finish()


class HasPage(RecordingTracker):
    name = "paged"

    def page(self) -> str:
        return "http://host/run/1"


def test_the_address_of_the_first_page() -> None:
    logger = AccelTrackLogger([RecordingTracker(), HasPage()])
    assert logger.url == "http://host/run/1"
    logger.finish()


@pytest.mark.long
def test_the_address_of_a_page_of_another_process() -> None:
    LOGGER_TYPE_TO_CLASS["paged"] = HasPage
    try:
        logger = AccelTrackLogger("paged", delivery="process", start_timeout=60, strict=True)
        assert logger.url == "http://host/run/1"
        logger.finish()
    finally:
        del LOGGER_TYPE_TO_CLASS["paged"]


@pytest.mark.long
def test_ids_off_rank_zero_and_in_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    apart = AccelTrackLogger("mlflow", save_dir="logs", delivery="process", start_timeout=60, strict=True)
    run_id = apart.run_id
    with pytest.raises(ElsewhereError, match="another process"):
        apart.experiment.log_artifact(run_id, "x")
    assert [tracker.name for tracker in apart.trackers] == ["mlflow"]
    assert apart.experiments == {}
    apart.finish()
    client = MlflowClient(f"sqlite:///{Path.cwd()}/logs/mlflow.db")
    assert client.get_run(run_id).info.status == "FINISHED"
    monkeypatch.setenv("RANK", "1")
    assert (apart.run_id, apart.url) == (None, None)


# -- media ------------------------------------------------------------------------------------------------------------


def test_media_of_the_logger_with_its_prefix() -> None:
    logger = AccelTrackLogger("tensorboard", save_dir="logs", prefix="run")
    logger.log_image("one", [RED], step=3, caption=["red"])  # as WandbLogger's
    logger.log_images({"two": RED}, 4)
    logger.log_metrics({"loss": 0.5, "three": torch.tensor(1.0), "four": AccelImage(RED)}, 5)
    logger.log_table(key="table", columns=["a"], data=[[1]], step=6)
    logger.log_text("note", "hello", 7)
    logger.finish()
    found = events("logs/lightning_logs/version_0")
    assert {tag: [one.step for one in found.Images(tag)] for tag in found.Tags()["images"]} == {
        "run-one/0": [3],
        "run-two": [4],
        "run-four": [5],
    }
    assert (pixels(found.Images("run-one/0")[0].encoded_image_string)[..., :3] == RED).all()
    assert {tag.partition("/")[0] for tag in found.Tags()["tensors"]} == {"run-table", "run-note"}


def test_media_of_fabric() -> None:
    logger = AccelTrackLogger("tensorboard", save_dir="logs")
    Fabric(accelerator="cpu", devices=1, loggers=logger).log_dict({"loss": 0.5, "picture": AccelImage(RED)}, step=3)
    logger.finish()
    found = events("logs/lightning_logs/version_0")
    assert [one.step for one in found.Images("picture")] == [3]


def test_artifacts_and_models_of_the_logger() -> None:
    class Keeps(RecordingTracker):
        def log_artifact(self, path: Any, name: str | None = None, **more: Any) -> None:
            self.calls.append(("artifact", name, Path(path).stat().st_size, more["type"], more["step"]))

    tracker = Keeps()
    logger = AccelTrackLogger(tracker, save_dir="logs", prefix="run")
    Path("a.txt").write_text("hello")
    logger.log_artifact("a.txt", step=3)
    logger.log_model("a.txt", "net")
    logger.log_model(torch.nn.Linear(1, 1))
    logger.finish()
    found = [call[1:] for call in tracker.calls if call[0] == "artifact"]
    assert found[:2] == [("run-a.txt", 5, "artifact", 3), ("run-net", 5, "model", None)]
    assert (found[2][0], found[2][2]) == ("run-model", "model")
    assert found[2][1] > 100


def test_other_ranks_do_not_even_look_at_media(monkeypatch: pytest.MonkeyPatch) -> None:
    class Untouchable:
        def __getattribute__(self, name: str) -> Any:
            raise AssertionError(name)

    monkeypatch.setenv("RANK", "1")
    logger = AccelTrackLogger(RecordingTracker())
    for call in (logger.log_images, logger.log_audio, logger.log_video, logger.log_histogram):
        call({"x": Untouchable()})  # type: ignore[operator]
    logger.log_image("x", [Untouchable()])
    logger.log_artifact("missing")
    logger.log_model(Untouchable())
    logger.log_table("x", dataframe=Untouchable())


def test_media_of_the_callback() -> None:
    tracker = RecordingTracker()
    callback = AccelTrackCallback(tracker, prefix="own", log_system=False)
    with pytest.warns(AccelTrackWarning, match="nothing is logged before a Trainer's call has begun"):
        callback.log_images({"early": RED})

    class Draws(Tiny):
        def on_train_epoch_end(self) -> None:
            callback.log_image("drawn", [RED], step=8)

    trainer(False, callbacks=callback).fit(Draws(), batches())
    callback.finish()
    found = [
        (name, value, step) for values, step in logged(tracker) for name, value in values.items() if "drawn" in name
    ]
    ((name, value, step),) = found
    (medium,) = value if isinstance(value, list) else [value]
    assert (name, step, isinstance(medium, Medium)) == ("own-drawn", 8, True)
    trainer(False, callbacks=AccelTrackCallback(tracker), fast_dev_run=True).fit(Tiny(), batches())


# -- code that asks which logger it has -------------------------------------------------------------------------------


def test_stand_ins_for_lightnings_loggers() -> None:
    other = Other()
    logger = AccelTrackLogger(["tensorboard", "mlflow", other], save_dir="logs", prefix="x")
    csv = CSVLogger("csv")
    own = TensorBoardLogger("own")
    fitted = trainer([logger, csv, own])
    assert loggers_like(fitted, WandbLogger) == []
    assert loggers_like(fitted, CSVLogger) == [logger, csv]  # as Lightning sees it
    (stand_in, theirs) = loggers_like(fitted, TensorBoardLogger)
    assert theirs is own
    assert isinstance(stand_in, TensorBoardLogger)
    assert isinstance(stand_in.experiment, SummaryWriter)
    stand_in.experiment.add_scalar("native", 0.5, 3)
    stand_in.log_metrics({"only": 1.0}, 4)
    stand_in.log_image("picture", [RED], 5)  # type: ignore[attr-defined]
    assert (stand_in.log_dir, stand_in.name) == (logger.log_dir, logger.name)
    (of_mlflow,) = loggers_like([logger], MLFlowLogger)
    of_mlflow.experiment.log_param(of_mlflow.run_id, "own", 3)
    assert of_mlflow.experiment.get_experiment(of_mlflow.experiment_id).name == logger.name  # type: ignore[arg-type]
    assert loggers_like(logger, MLFlowLogger)
    run_id = logger.run_id
    with pytest.raises(AttributeError, match="nonsense"):
        _ = of_mlflow.nonsense
    logger.finish()
    found = events("logs/lightning_logs/version_0")
    assert set(found.Tags()["scalars"]) == {"native", "x-only"}
    assert found.Tags()["images"] == ["x-picture/0"]
    client = MlflowClient(f"sqlite:///{Path.cwd()}/logs/mlflow.db")
    assert client.get_run(run_id).data.metrics == {}
    assert logged(other) == []


def test_stand_ins_off_rank_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    (stand_in,) = loggers_like([AccelTrackLogger("wandb")], WandbLogger)
    stand_in.log_image("x", [object()])
    stand_in.log_metrics({"a": 1.0})
    stand_in.watch(torch.nn.Linear(1, 1))
    stand_in.experiment.config.update({"a": 1})
