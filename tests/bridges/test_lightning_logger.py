"""Lightning's loggers as trackers: real loggers, read back from their own files and stores."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
import pytorch_lightning.loggers
import torch
import yaml
from lightning.fabric.loggers import CSVLogger as FabricCSVLogger
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, Logger, MLFlowLogger, TensorBoardLogger, WandbLogger
from mlflow import MlflowClient

import accel_track
from accel_track import AccelTrackCallback, AccelTrackLogger
from accel_track.bridges import LightningLoggerTracker
from accel_track.errors import AccelTrackWarning, NotStartedError
from accel_track.journal.directory import find_runs
from accel_track.outcome import Outcome
from accel_track.testing import RecordingTracker
from tests.support.models import Tiny, batches, trainer
from tests.support.processes import accel_track as command
from tests.support.runs import acknowledged, only_run, scalars

RED = np.zeros((4, 4, 3), np.uint8)


def lines(folder: str, version: int = 0) -> list[dict[str, str]]:
    with Path(folder, f"lightning_logs/version_{version}/metrics.csv").open() as file:
        return list(csv.DictReader(file))


def points(folder: str, name: str, version: int = 0) -> list[tuple[int, float]]:
    return [(int(line["step"]), float(line[name])) for line in lines(folder, version) if line.get(name)]


@pytest.fixture
def _own_uri() -> Iterator[None]:
    """Take back the address that an MLFlowLogger sets for the whole process."""
    yield
    mlflow.set_tracking_uri(None)


class Remembering(Logger):
    """Keeps its calls; `fails` names those that raise."""

    def __init__(self, *fails: str) -> None:
        super().__init__()
        self.calls: list[tuple[Any, ...]] = []
        self.fails = set(fails)

    def _call(self, name: str, *arguments: Any) -> None:
        self.calls.append((name, *arguments))
        if name in self.fails:
            raise ValueError(f"{name} is broken")

    @property
    def name(self) -> str:
        raise AssertionError("nobody needs it")

    @property
    def version(self) -> str:
        raise AssertionError("nobody needs it")

    @property
    def experiment(self) -> str:
        self._call("experiment")
        return "native"

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self._call("log_metrics", dict(metrics), step)

    def log_hyperparams(self, params: Any) -> None:
        self._call("log_hyperparams", params)

    def log_image(self, key: str, images: list[Any], step: int | None = None, **kwargs: Any) -> None:
        self._call("log_image", key, [image.size for image in images], step, kwargs)

    def after_save_checkpoint(self, checkpoint_callback: ModelCheckpoint) -> None:
        self._call("after_save_checkpoint", Path(checkpoint_callback.last_model_path).read_text(), checkpoint_callback)

    def save(self) -> None:
        self._call("save")

    def finalize(self, status: str) -> None:
        self._call("finalize", status)

    def named(self, name: str) -> list[tuple[Any, ...]]:
        return [call[1:] for call in self.calls if call[0] == name]


@pytest.mark.parametrize("delivery", ["thread", "inline", "process"])
def test_values_of_a_plain_program_reach_the_file(delivery: Any) -> None:
    tracker = LightningLoggerTracker(CSVLogger("csv"))
    assert (tracker.name, tracker.main_process_only) == ("csvlogger", True)
    with accel_track.init("p", tracker, config={"lr": 0.1, "net": {"layers": [1, 2]}}, delivery=delivery) as run:
        for step in range(5):
            run.log({"loss": step / 2, "val": {"acc": step}, "flag": True}, step)
        assert run.get_tracker("csvlogger", unwrap=True) is tracker.logger.experiment
    assert points("csv", "loss") == [(step, step / 2) for step in range(5)]
    assert points("csv", "val/acc") == [(step, float(step)) for step in range(5)]
    assert points("csv", "flag") == [(step, 1.0) for step in range(5)]
    stored = yaml.safe_load(Path("csv/lightning_logs/version_0/hparams.yaml").read_text())
    assert stored == {"lr": 0.1, "net": {"layers": [1, 2]}}
    with pytest.raises(NotStartedError):
        _ = tracker.tracker
    if delivery != "inline":
        assert acknowledged(only_run(Path()), "csvlogger") == 6


def test_without_delivery_the_journal_says_that_it_was_an_object() -> None:
    with accel_track.init("p", LightningLoggerTracker(CSVLogger("csv")), delivery="none") as run:
        run.log({"loss": 1.0}, 0)
    assert not Path("csv").exists()
    assert only_run(Path()).load().trackers["csvlogger"].instance
    assert "passed as an object" in command("sync", run.run_id, check=1).stdout
    assert '"loss": 1.0' in command("export", run.run_id, "--format", "jsonl").stdout


def test_ours_beside_others_in_one_trainer() -> None:
    """The same values, by AccelTrackLogger with trackers of both kinds, and by a logger that the Trainer has itself."""
    wrapped = pytorch_lightning.loggers.TensorBoardLogger("tb")
    ours = AccelTrackLogger(
        [LightningLoggerTracker(CSVLogger("ours")), LightningLoggerTracker(wrapped), "tensorboard"], name="p"
    )
    fitted = trainer([ours, CSVLogger("theirs")], max_epochs=2)
    fitted.fit(Tiny(), batches())
    fitted.test(verbose=False, dataloaders=batches())
    ours.finish()
    fields = ("loss", "late", "test_loss")
    assert {name: points("ours", name) for name in fields} == {name: points("theirs", name) for name in fields}
    assert len(points("ours", "loss")) == 8
    assert len(points("ours", "test_loss")) == 1
    assert scalars(Path("tb")) == scalars(Path("p/version_0"))
    assert yaml.safe_load(Path("ours/lightning_logs/version_0/hparams.yaml").read_text())["lr"] == 0.25
    assert [run.load().status for run in find_runs(".")] == ["finished"]


@pytest.mark.usefixtures("_own_uri")
def test_a_callback_and_a_logger_share_one_and_checkpoints_reach_mlflow(database: MlflowClient) -> None:
    theirs = MLFlowLogger(
        "lightning",
        tracking_uri=f"sqlite:///{Path.cwd()}/mlflow.db",
        artifact_location=str(Path("art").absolute()),
        log_model=True,
    )
    tracker = LightningLoggerTracker(theirs)
    ours = AccelTrackLogger(tracker, name="p")
    callback = AccelTrackCallback(log_checkpoints="all", log_system=False, log_environment=False, log_summary=False)
    best = ModelCheckpoint(monitor="val_loss", save_top_k=1, filename="epoch{epoch}", auto_insert_metric_name=False)
    fitted = trainer(ours, callbacks=[callback, best], max_epochs=2)
    fitted.fit(Tiny(), batches(), batches())
    fitted.fit(Tiny(), batches(), batches())  # a second call logs to the same run
    ours.finish()
    (found,) = database.search_runs([database.get_experiment_by_name("lightning").experiment_id])
    assert found.info.status == "FINISHED"
    assert found.data.params["lr"] == "0.25"
    assert {one.step for one in database.get_metric_history(found.info.run_id, "loss")} == {1, 3, 5, 7, 9, 11, 13, 15}
    (file, *_) = Path("art").rglob("*.ckpt")
    assert "val_loss" in (file.parent / "metadata.yaml").read_text()


def test_media_go_to_the_calls_that_the_logger_has() -> None:
    wandb_tracker = LightningLoggerTracker(WandbLogger(save_dir=".", offline=True))
    csv_tracker = LightningLoggerTracker(CSVLogger("csv"))
    remembering = Remembering()
    Path("c.ckpt").write_text("weights")
    with (
        pytest.warns(AccelTrackWarning) as warned,
        accel_track.init("p", [wandb_tracker, csv_tracker, LightningLoggerTracker(remembering)]) as run,
    ):
        run.log({"loss": 1.0, "image": accel_track_image()}, 3)
        run.log_table("table", ["a"], [[1]], step=3)
        run.log_text("text", "hello", step=3)
        run.log_html({"page": "<p>"}, 3)
        run.log_checkpoint("c", "c.ckpt", 3, {"monitor": "loss", "score": 0.5, "best": True})
        run.flush()
        assert wandb_tracker.dropped == {"page": 1}
        assert csv_tracker.dropped == {"image": 1, "table": 1, "text": 1, "page": 1, "checkpoint": 1}
    assert points("csv", "loss") == [(3, 1.0)]
    files = sorted(path.suffixes for path in Path("wandb").glob("offline-run-*/files/media/**/*") if path.is_file())
    assert files == [[".png"], [".table", ".json"], [".table", ".json"]]
    (summary,) = [json.loads(path.read_text()) for path in Path("wandb").glob("*/files/wandb-summary.json")] or [{}]
    assert not summary or summary["trainer/global_step"] == 3
    assert remembering.named("log_image") == [("image", [(4, 4)], 3, {"caption": ["red"]})]
    ((text, callback),) = remembering.named("after_save_checkpoint")
    assert text == "weights"
    assert (callback.monitor, callback.best_model_score, callback.save_top_k) == ("loss", 0.5, -1)
    said = [str(one.message) for one in warned]
    assert sum("csvlogger: dropped 'image'" in one for one in said) == 1


def accel_track_image() -> Any:
    from accel_track.media import Image

    return Image(RED, "red")


@pytest.mark.parametrize(
    ("outcome", "word"),
    [("finished", "success"), ("failed", "failed"), ("interrupted", "failed"), ("preempted", "failed")],
)
def test_finalize_tells_how_the_run_ended(outcome: Any, word: str) -> None:
    logger = Remembering()
    run = accel_track.init("p", LightningLoggerTracker(logger), delivery="inline")
    run.finish(Outcome(outcome))
    assert logger.named("finalize") == [(word,)]
    assert logger.named("save")


@pytest.mark.parametrize(
    "broken", ["log_metrics", "log_hyperparams", "save", "finalize", "after_save_checkpoint", "log_image"]
)
def test_a_logger_that_raises_harms_nobody(broken: str) -> None:
    logger, other = Remembering(broken), RecordingTracker()
    Path("c.ckpt").write_text("weights")
    with pytest.warns(AccelTrackWarning) as warned:
        run = accel_track.init("p", [LightningLoggerTracker(logger), other], config={"a": 1}, finish_timeout=2)
        run.log({"loss": 1.0}, 0)
        run.log_images({"image": RED}, 1)
        run.log_checkpoint("c", "c.ckpt", 1, {})
        run.log({"loss": 2.0}, 2)
        run.finish()
    assert any(f"{broken} is broken" in str(one.message) for one in warned) or broken in ("save", "finalize")
    assert [call[2] for call in other.calls if call[0] == "log"] == [0, 1, 2]
    if broken not in ("log_metrics", "save"):
        assert [step for _, step in logger.named("log_metrics")] == [0, 2]
    assert only_run(Path()).load().status == "finished"


def test_a_logger_that_cannot_begin_is_an_error_at_the_start() -> None:
    other = RecordingTracker()
    with pytest.raises(ValueError, match="experiment is broken"):
        accel_track.init("p", [other, LightningLoggerTracker(Remembering("experiment"))])
    assert other.calls[-1] == ("finish",)


def test_hyperparameters_that_a_logger_does_not_take_are_counted() -> None:
    tracker = LightningLoggerTracker(FabricCSVLogger("fabric"))
    with pytest.warns(AccelTrackWarning) as warned, accel_track.init("p", tracker, config={"a": 1}) as run:
        run.log({"loss": 1.0}, 0)
        run.log_checkpoint("c", __file__, 0, {})
        run.flush()
        assert tracker.dropped == {"hyperparameters": 1, "checkpoint": 1}
    assert "does not yet support logging hyperparameters" in str(warned[0].message)
    assert points("fabric", "loss") == [(0, 1.0)]


class WithSound(Remembering):
    def log_audio(self, key: str, audios: list[str], step: int | None = None, **kwargs: Any) -> None:
        self._call("log_audio", key, [Path(one).suffix for one in audios], step, kwargs)

    def log_video(self, key: str, videos: list[str], step: int | None = None, **kwargs: Any) -> None:
        self._call("log_video", key, [Path(one).suffix for one in videos], step, kwargs)

    def log_graph(self, model: Any, input_array: Any = None) -> None:
        self._call("log_graph", type(model).__name__, input_array)


def test_sound_videos_the_graph_and_the_environment() -> None:
    logger = WithSound()
    ours = AccelTrackLogger(LightningLoggerTracker(logger), log_graph=True)
    ours.log_audio({"sound": np.zeros(10, np.float32)}, step=1, sample_rate=8000)
    ours.log_video({"video": np.zeros((2, 4, 4, 3), np.uint8)}, step=2, captions="black")
    ours.log_graph(Tiny(), torch.zeros(1))
    ours.run.store_environment({"python": {"version": "3"}})
    assert ours.experiment == "native"
    ours.finish()
    assert logger.named("log_audio") == [("sound", [".wav"], 1, {})]
    assert logger.named("log_video") == [("video", [".gif"], 2, {"caption": ["black"]})]
    assert logger.named("log_graph") == [("Tiny", torch.zeros(1))]
    assert logger.named("log_hyperparams") == [({"environment/python/version": "3"},)]


def test_a_logger_of_the_other_import_name_gets_its_own_kind_of_checkpoint() -> None:
    class Old(pytorch_lightning.loggers.CSVLogger):
        got: Any = None

        def after_save_checkpoint(self, checkpoint_callback: Any) -> None:
            self.got = checkpoint_callback

    logger = Old("csv")
    Path("c.ckpt").write_text("weights")
    with accel_track.init("p", LightningLoggerTracker(logger), delivery="inline") as run:
        run.log_checkpoint("c", "c.ckpt", 1, {"score": 0.5})
    assert type(logger.got).__module__.startswith("pytorch_lightning.")
    assert (logger.got.last_model_path, logger.got.best_model_path) == ("c.ckpt", "")


def test_texts_are_dropped() -> None:
    logger = Remembering()
    tracker = LightningLoggerTracker(logger, name="mine")
    with pytest.warns(AccelTrackWarning, match="mine: dropped 'note'"), accel_track.init("p", tracker) as run:
        run.log({"note": "hello", "loss": 1.0}, 0)
        run.flush()
        assert tracker.dropped == {"note": 1}
    assert logger.named("log_metrics") == [({"loss": 1.0}, 0)]


@pytest.mark.parametrize("logger", [CSVLogger, None, 3, "csv", object(), RecordingTracker()])
def test_what_is_no_logger_is_refused(logger: Any) -> None:
    with pytest.raises(TypeError, match="takes one of Lightning's loggers"):
        LightningLoggerTracker(logger)


def test_one_of_ours_is_refused_and_so_are_names_that_cannot_be() -> None:
    with pytest.raises(TypeError, match="got AccelTrackLogger"):
        LightningLoggerTracker(AccelTrackLogger())
    with pytest.raises(ValueError, match="cannot be 'a/b'"):
        LightningLoggerTracker(CSVLogger("csv"), name="a/b")
    with pytest.raises(TypeError):
        accel_track.init("p", CSVLogger("csv"))  # type: ignore[arg-type]


def test_two_of_a_class_have_names_of_their_own() -> None:
    pair = [LightningLoggerTracker(CSVLogger("a")), LightningLoggerTracker(CSVLogger("b"), name="second")]
    with accel_track.init("p", pair) as run:
        run.log({"loss": 1.0}, 0)
        assert run.get_tracker("second") is pair[1]
    assert points("a", "loss") == points("b", "loss") == [(0, 1.0)]


def test_one_tracker_of_two_front_doors_is_begun_once() -> None:
    logger = Remembering()
    tracker = LightningLoggerTracker(logger)
    first, second = accel_track.init("p", tracker), accel_track.init("q", tracker)
    first.log({"a": 1.0}, 0)
    first.finish()
    second.log({"b": 1.0}, 0)
    second.finish()
    assert (len(logger.named("experiment")), len(logger.named("finalize"))) == (1, 1)
    assert [values for values, _ in logger.named("log_metrics")] == [{"a": 1.0}, {"b": 1.0}]


@pytest.mark.long
def test_processes_that_lightning_launches() -> None:
    logger = AccelTrackLogger(LightningLoggerTracker(CSVLogger("csv", version=0)), name="p", start_timeout=120)
    fitted = trainer(logger, strategy="ddp_spawn", devices=2)
    fitted.fit(Tiny(), batches())
    logger.finish()
    assert [step for step, _ in points("csv", "loss")] == [1, 3]
    (run,) = find_runs(".")
    assert run.load().status == "finished"


def test_without_rank_zero_nothing_is_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    logger = Remembering()
    tracker = LightningLoggerTracker(logger)
    monkeypatch.setattr("accel_track.trackers.base.process_index", lambda: 1)
    tracker.start()
    tracker.log({"loss": 1.0}, 0)
    tracker.finish()
    assert logger.calls == []


def test_a_tensorboard_logger_of_lightnings_has_the_values_where_it_would_have_them() -> None:
    direct = TensorBoardLogger("direct")
    direct.log_metrics({"loss": 0.5}, 3)
    direct.finalize("success")
    with accel_track.init("p", LightningLoggerTracker(TensorBoardLogger("ours"))) as run:
        run.log({"loss": 0.5}, 3)
    assert (
        scalars(Path("ours/lightning_logs/version_0")) == scalars(Path("direct/lightning_logs/version_0")) == [(3, 0.5)]
    )
