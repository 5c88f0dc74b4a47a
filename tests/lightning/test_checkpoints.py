"""`AccelTrackCallback(log_checkpoints=...)` with a real Trainer: what trackers get, and what they are to delete."""

import json
import os
import shutil
import threading
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.fabric.plugins import CheckpointIO
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins.io import AsyncCheckpointIO, TorchCheckpointIO

import accel_track.lightning.checkpoints as module
from accel_track import AccelTrackCallback, AccelTrackLogger
from accel_track.errors import AccelTrackWarning
from accel_track.journal.directory import find_runs
from accel_track.testing import RecordingTracker
from tests.support.models import Tiny, batches, trainer
from tests.support.skips import need

ONLY = {
    "log_learning_rate": False,
    "log_throughput": False,
    "log_system": False,
    "log_summary": False,
    "log_environment": False,
}
SCORES = (5.0, 3.0, 4.0, 1.0)


class Scored(Tiny):
    """Logs `score`, one of `SCORES` in each epoch, and a number that differs between checkpoints."""

    def __init__(self, scores: tuple[float, ...] = SCORES) -> None:
        super().__init__()
        self.scores = scores
        self.register_buffer("epochs", torch.zeros(1))

    def on_train_epoch_end(self) -> None:
        self.log("score", self.scores[self.current_epoch])
        self.epochs += 1


class Keeps(RecordingTracker):
    """A tracker that keeps checkpoints: their files' content, by name."""

    def __init__(self) -> None:
        super().__init__()
        self.stored: dict[str, dict[str, bytes]] = {}
        self.about: dict[str, dict[str, Any]] = {}
        self.deleted: list[str] = []

    def log_checkpoint(self, name: str, path: str, step: int | None, values: dict[str, Any]) -> None:
        place = Path(path)
        files = [place] if place.is_file() else [one for one in place.rglob("*") if one.is_file()]
        assert files
        self.stored[name] = {one.relative_to(place.parent).as_posix(): one.read_bytes() for one in files}
        self.about[name] = {"step": step, **values}
        self.calls.append(("checkpoint", name))

    def describe_checkpoint(self, name: str, step: int | None, values: dict[str, Any]) -> None:
        self.about[name] = {"step": step, **values}

    def delete_checkpoint(self, name: str) -> None:
        del self.stored[name], self.about[name]
        self.deleted.append(name)
        self.calls.append(("delete", name))


class Slow(Keeps):
    """A tracker that takes nothing until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()

    def log_checkpoint(self, name: str, path: str, step: int | None, values: dict[str, Any]) -> None:
        assert self.go.wait(60)
        super().log_checkpoint(name, path, step, values)


def fitted(
    which: Any,
    tracker: Any,
    *checkpoints: ModelCheckpoint,
    joined: bool = True,
    model: Tiny | None = None,
    epochs: int = 4,
    **arguments: Any,
) -> Any:
    """Fit with the callback, in the run of a logger or in one of its own; return what ends the run."""
    if joined:
        held: Any = AccelTrackLogger(tracker, save_dir=".")
        callback = AccelTrackCallback(log_checkpoints=which, **ONLY)
    else:
        held = callback = AccelTrackCallback(tracker, save_dir=".", log_checkpoints=which, **ONLY)
    callbacks = [callback, *checkpoints]
    one = trainer(held if joined else False, callbacks=callbacks, max_epochs=epochs, **arguments)
    one.fit(model or Scored(), batches(), batches())
    return held


def of(folder: str = "ckpt", **arguments: Any) -> ModelCheckpoint:
    defaults = {"monitor": "score", "filename": "{epoch}", "save_top_k": 2, "save_on_train_epoch_end": True}
    return ModelCheckpoint(folder, **{**defaults, **arguments})


def kept() -> list[Path]:
    """Return the copies that are left in the run directories."""
    return [path for run in find_runs(".") for path in run.path.glob("rank-*/media/*")]


def epochs_in(content: bytes) -> float:
    Path("read.ckpt").write_bytes(content)
    return float(torch.load("read.ckpt", weights_only=False)["state_dict"]["epochs"])


# -- which ones ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("joined", [True, False])
def test_all_that_lightning_keeps(joined: bool) -> None:
    tracker = Keeps()
    held = fitted("all", tracker, of(), joined=joined)
    held.finish()
    assert sorted(tracker.stored) == ["epoch=1", "epoch=3"] == sorted(path.stem for path in Path("ckpt").glob("*.ckpt"))
    assert sorted(tracker.deleted) == ["epoch=0", "epoch=2"]
    for name, files in tracker.stored.items():
        assert files == {f"{name}.ckpt": Path("ckpt", f"{name}.ckpt").read_bytes()}
    assert tracker.about["epoch=3"] == {
        "step": 32,
        "monitor": "score",
        "score": 1.0,
        "best": True,
        "last": True,
    }
    assert kept() == []


@pytest.mark.parametrize("joined", [True, False])
def test_the_best(joined: bool) -> None:
    tracker = Keeps()
    fitted("best", tracker, of(save_top_k=-1), joined=joined).finish()
    assert list(tracker.stored) == ["epoch=3"]
    assert tracker.about["epoch=3"]["score"] == 1.0
    assert tracker.about["epoch=3"]["best"]
    assert [call for call in tracker.calls if call[0] in ("checkpoint", "delete")] == [
        ("checkpoint", "epoch=0"),
        ("delete", "epoch=0"),
        ("checkpoint", "epoch=1"),  # epoch=2 is not better
        ("delete", "epoch=1"),
        ("checkpoint", "epoch=3"),
    ]


def test_the_best_stays_the_best_of_all_epochs() -> None:
    tracker = Keeps()
    fitted("best", tracker, of(save_top_k=-1), model=Scored((1.0, 3.0, 4.0, 5.0))).finish()
    assert list(tracker.stored) == ["epoch=0"]
    assert epochs_in(tracker.stored["epoch=0"]["epoch=0.ckpt"]) == 1.0


@pytest.mark.parametrize("joined", [True, False])
def test_the_last(joined: bool) -> None:
    tracker = Keeps()
    fitted("last", tracker, of(save_top_k=-1), model=Scored((1.0, 3.0, 4.0, 5.0)), joined=joined).finish()
    assert list(tracker.stored) == ["epoch=3"]
    assert tracker.about["epoch=3"]["last"]
    assert tracker.deleted == ["epoch=0", "epoch=1", "epoch=2"]


def test_the_last_by_a_name_that_is_written_again() -> None:
    tracker = Keeps()
    fitted("last", tracker, of(monitor=None, save_top_k=0, save_last=True)).finish()
    assert list(tracker.stored) == ["last"]
    assert tracker.deleted == []
    assert epochs_in(tracker.stored["last"]["last.ckpt"]) == 4.0


def test_all_with_a_last_beside_the_best() -> None:
    tracker = Keeps()
    fitted("all", tracker, of(save_top_k=1, save_last=True)).finish()
    assert sorted(tracker.stored) == ["epoch=3", "last"]
    assert tracker.stored["last"]["last.ckpt"] == Path("ckpt/last.ckpt").read_bytes()


def test_all_with_a_last_that_is_a_link() -> None:
    tracker = Keeps()
    fitted("all", tracker, of(save_top_k=1, save_last="link"), epochs=2).finish()
    assert Path("ckpt/last.ckpt").is_symlink()
    assert list(tracker.stored) == ["epoch=1"]  # Lightning tells loggers of no link


def test_one_name_for_all_epochs_is_replaced() -> None:
    tracker = Keeps()
    checkpoint = of(filename="same", save_top_k=1, enable_version_counter=False)
    fitted("all", tracker, checkpoint, model=Scored((4.0, 3.0, 2.0, 1.0))).finish()
    assert list(tracker.stored) == ["same"]
    assert epochs_in(tracker.stored["same"]["same.ckpt"]) == 4.0


def test_several_model_checkpoints() -> None:
    tracker = Keeps()
    best = of("best", save_top_k=1)
    worst = of("worst", save_top_k=1, mode="max")
    steps = ModelCheckpoint("steps", filename="{step}", every_n_train_steps=8, save_top_k=-1)
    fitted("all", tracker, best, worst, steps).finish()
    assert sorted(tracker.stored) == sorted(["epoch=3", "epoch=0-2", "step=8", "step=16", "step=24", "step=32"])
    assert epochs_in(tracker.stored["epoch=0-2"]["epoch=0.ckpt"]) == 1.0


def test_the_best_of_each_model_checkpoint() -> None:
    tracker = Keeps()
    fitted("best", tracker, of("low", save_top_k=1), of("high", save_top_k=1, mode="max")).finish()
    assert sorted(tracker.stored) == ["epoch=0-2", "epoch=3"]
    assert tracker.about["epoch=0-2"]["score"] == 5.0


def flags(tracker: Keeps, flag: str) -> list[str]:
    return sorted(name for name, about in tracker.about.items() if about[flag])


@pytest.mark.parametrize("delivery", ["thread", "inline"])
def test_one_is_the_best_and_one_the_last(delivery: str) -> None:
    """Of what the trackers keep, at any time: not each that once was it."""
    tracker = Keeps()
    logger = AccelTrackLogger(tracker, save_dir=".", delivery=delivery)
    copied = of("copied", mode="max", save_top_k=-1, save_last=True, filename="c{epoch}")
    unmeasured = of("unmeasured", monitor=None, save_top_k=-1, filename="u{epoch}")
    callbacks = [AccelTrackCallback(log_checkpoints="all", **ONLY), of(save_top_k=-1), copied, unmeasured]
    trainer(logger, callbacks=callbacks, max_epochs=4).fit(Scored((5.0, 1.0, 4.0, 3.0)), batches(), batches())
    logger.finish()
    assert flags(tracker, "best") == ["cepoch=0", "epoch=1"]
    assert flags(tracker, "last") == ["epoch=3", "last", "uepoch=3"]
    assert [tracker.about[f"epoch={epoch}"]["score"] for epoch in range(4)] == [5.0, 1.0, 4.0, 3.0]


def test_names_with_a_slash() -> None:
    """A checkpoint is known by its path in the ModelCheckpoint's folder, also where it is a folder itself."""
    tracker = Keeps()
    deep = of("deep", filename="{epoch}-{val/loss:.0f}", save_top_k=-1, monitor="val/loss")
    same = of("same", filename="{epoch}/model", save_top_k=-1, monitor=None)

    class Slashed(Scored):
        def validation_step(self, batch: list[torch.Tensor]) -> None:
            self.log("val/loss", 2.0)

    fitted("all", tracker, deep, same, model=Slashed()).finish()
    saved = [path.relative_to(folder) for folder in ("deep", "same") for path in Path(folder).rglob("*.ckpt")]
    assert len(saved) == 8
    assert sorted(tracker.stored) == sorted(path.as_posix().removesuffix(".ckpt").replace("/", "_") for path in saved)
    for name, files in tracker.stored.items():
        assert epochs_in(*files.values()) == float(name[len("epoch=")]) + 1


def test_names_that_are_one_without_what_no_name_has() -> None:
    """Nor do two ModelCheckpoints of one folder, or of equal names, replace each other's files."""
    tracker = Keeps()
    one, two = of(filename="a@b", every_n_epochs=2), of(filename="a#b", every_n_epochs=2, mode="max")
    other = of("other", filename="a@b", every_n_epochs=2, monitor=None, save_top_k=1)
    fitted("all", tracker, one, two, other, epochs=2).finish()
    assert len(list(Path().glob("*/*.ckpt"))) == 3
    assert sorted(tracker.stored) == ["a_b", "a_b-2", "a_b-3"]


def test_none_by_default() -> None:
    tracker = Keeps()
    fitted(False, tracker, of()).finish()
    assert tracker.stored == {}


def test_bad_arguments() -> None:
    for wrong in (True, "newest", 3):
        with pytest.raises(ValueError, match="`log_checkpoints` must be False, 'best', 'last' or 'all'"):
            AccelTrackCallback(log_checkpoints=wrong)


# -- backends -----------------------------------------------------------------------------------------------------------


@pytest.mark.first(1)
@pytest.mark.parametrize("joined", [True, False])
def test_mlflow_has_the_top_k_and_no_others(joined: bool) -> None:
    need("mlflow")
    from mlflow import MlflowClient

    fitted("all", "mlflow", of(), joined=joined).finish()
    client = MlflowClient(f"sqlite:///{Path.cwd() / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("lightning_logs")
    (run,) = client.search_runs([experiment.experiment_id])
    files = {
        one.path: [inner.path for inner in client.list_artifacts(run.info.run_id, one.path)]
        for one in client.list_artifacts(run.info.run_id, "checkpoints")
    }
    assert files == {
        f"checkpoints/epoch={number}": [
            f"checkpoints/epoch={number}/accel_track.json",
            f"checkpoints/epoch={number}/epoch={number}.ckpt",
        ]
        for number in (1, 3)
    }
    place = Path(client.download_artifacts(run.info.run_id, "checkpoints/epoch=3"))
    assert json.loads((place / "accel_track.json").read_text())["score"] == 1.0
    assert (place / "epoch=3.ckpt").read_bytes() == Path("ckpt/epoch=3.ckpt").read_bytes()
    assert kept() == []


def test_a_tracker_without_checkpoints_counts_them_and_training_goes_on() -> None:
    with pytest.warns(AccelTrackWarning, match="tensorboard: dropped 'checkpoint': it keeps no checkpoints") as caught:
        held = fitted("all", "tensorboard", of(), log_every_n_steps=8)
        (tracker,) = held.trackers
        held.finish()
    assert len([one for one in caught if "dropped" in str(one.message)]) == 1
    assert tracker.dropped == {"checkpoint": 4}
    assert kept() == []
    from tests.support.runs import scalars

    assert [step for step, _ in scalars(Path(held.root_dir) / "version_0")] == [7, 15, 23, 31]


class Refuses(Keeps):
    """A tracker whose backend takes no checkpoint."""

    def log_checkpoint(self, name: str, path: str, step: int | None, values: dict[str, Any]) -> None:
        raise ValueError("too large")


def test_a_tracker_that_refuses_a_checkpoint_keeps_nobody_from_training() -> None:
    tracker = Refuses()
    with pytest.warns(AccelTrackWarning, match="refused a record .ValueError: too large"):
        fitted("last", tracker, of(save_top_k=-1), epochs=1).finish()
    assert [call[2] for call in tracker.calls if call[0] == "log"] == [1, 3, 5, 7, 7, 7]
    assert kept() == []


def test_inline_trackers_get_the_very_files() -> None:
    tracker = Keeps()
    logger = AccelTrackLogger(tracker, delivery="inline")
    callbacks = [AccelTrackCallback(log_checkpoints="all", **ONLY), of(save_top_k=1)]
    trainer(logger, callbacks=callbacks, max_epochs=4).fit(Scored(), batches())
    logger.finish()
    assert list(tracker.stored) == ["epoch=3"]
    assert tracker.deleted == ["epoch=0", "epoch=1"]


# -- files that do not stay, are not there yet, or are folders -----------------------------------------------------------


@pytest.mark.parametrize("joined", [True, False])
def test_files_that_lightning_deletes_before_a_slow_tracker_took_them(joined: bool) -> None:
    tracker = Slow()

    class Ends(Scored):
        def on_train_end(self) -> None:
            assert sorted(path.stem for path in Path("ckpt").glob("*.ckpt")) == ["epoch=3"]
            assert tracker.stored == {}
            assert len(kept()) == 3  # epoch=2 is not among the best
            tracker.go.set()

    held = fitted("all", tracker, of(save_top_k=1), joined=joined, model=Ends())
    held.finish()
    assert [call for call in tracker.calls if call[0] in ("checkpoint", "delete")] == [
        ("checkpoint", "epoch=0"),
        ("checkpoint", "epoch=1"),
        ("delete", "epoch=0"),
        ("checkpoint", "epoch=3"),
        ("delete", "epoch=1"),
    ]
    assert tracker.stored["epoch=3"] == {"epoch=3.ckpt": Path("ckpt/epoch=3.ckpt").read_bytes()}
    assert kept() == []


class Folders(CheckpointIO):
    """Saves a checkpoint as sharded ones are: a folder with several files."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        place = Path(path)
        (place / "shards").mkdir(parents=True, exist_ok=True)
        torch.save(checkpoint, place / "shards" / "0.pt")
        (place / ".metadata").write_text(str(checkpoint["epoch"]))

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: Any = None) -> dict[str, Any]:
        loaded: dict[str, Any] = torch.load(Path(path) / "shards" / "0.pt", weights_only=False)
        return loaded

    def remove_checkpoint(self, path: Any) -> None:
        shutil.rmtree(path)


@pytest.mark.parametrize("joined", [True, False])
def test_a_checkpoint_that_is_a_folder(joined: bool) -> None:
    tracker = Keeps()
    fitted("all", tracker, of(save_top_k=1), joined=joined, plugins=[Folders()]).finish()
    assert Path("ckpt/epoch=3.ckpt").is_dir()
    assert list(tracker.stored) == ["epoch=3"]
    assert sorted(tracker.stored["epoch=3"]) == ["epoch=3.ckpt/.metadata", "epoch=3.ckpt/shards/0.pt"]
    assert tracker.stored["epoch=3"]["epoch=3.ckpt/.metadata"] == b"3"
    assert tracker.deleted == ["epoch=0", "epoch=1"]
    assert kept() == []


@pytest.mark.long
def test_a_folder_in_mlflow() -> None:
    need("mlflow")
    from mlflow import MlflowClient

    fitted("last", "mlflow", of(save_top_k=1), plugins=[Folders()], epochs=2).finish()
    client = MlflowClient(f"sqlite:///{Path.cwd() / 'mlflow.db'}")
    (run,) = client.search_runs([client.get_experiment_by_name("lightning_logs").experiment_id])
    place = Path(client.download_artifacts(run.info.run_id, "checkpoints"))
    found = sorted(path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file())
    assert [path for path in found if not path.endswith("accel_track.json")] == [
        "epoch=1/.metadata",
        "epoch=1/shards/0.pt",
    ]


class InPlace(TorchCheckpointIO):
    """Writes into a file that is there already."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        torch.save(checkpoint, path)


@pytest.mark.parametrize("kind", [InPlace, Folders])
def test_what_is_written_again_in_place_before_a_slow_tracker_took_it_comes_in_the_end(kind: type[Any]) -> None:
    """Until then a copy, which is a link, may have the content of the next one."""
    tracker = Slow()

    class Ends(Scored):
        def on_train_end(self) -> None:
            tracker.go.set()

    checkpoint = of(filename="same", save_top_k=1, enable_version_counter=False)
    model = Ends((4.0, 3.0, 2.0, 1.0))
    fitted("all", tracker, checkpoint, model=model, plugins=[kind()]).finish()
    assert tracker.about["same"]["score"] == 1.0
    assert epochs_in(max(tracker.stored["same"].values(), key=len)) == 4.0


class Late(TorchCheckpointIO):
    """Takes its time to save."""

    saves = 0

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        time.sleep(0.3)
        super().save_checkpoint(checkpoint, path, storage_options)
        self.saves += 1


@pytest.mark.first(3)
@pytest.mark.parametrize("joined", [True, False])
@pytest.mark.parametrize("which", ["all", "best", "last"])
def test_checkpoints_that_are_saved_in_the_background(joined: bool, which: str) -> None:
    tracker = Keeps()
    checkpoint = of(save_top_k=-1)
    fitted(which, tracker, checkpoint, joined=joined, plugins=[AsyncCheckpointIO(Late())]).finish()
    names = [f"epoch={number}" for number in range(4)] if which == "all" else ["epoch=3"]
    assert sorted(tracker.stored) == names
    for name, files in tracker.stored.items():
        assert files == {f"{name}.ckpt": Path("ckpt", f"{name}.ckpt").read_bytes()}
    assert kept() == []


class Follows(Scored):
    """Ends an epoch when what the one before saved is there; may fail after the last."""

    def __init__(self, saver: Late, fails: bool) -> None:
        super().__init__()
        self.saver, self.fails = saver, fails

    def on_train_epoch_end(self) -> None:
        super().on_train_epoch_end()
        while self.saver.saves < self.current_epoch:
            time.sleep(0.01)

    def on_train_end(self) -> None:
        if self.fails:
            raise ValueError("planned failure")


@pytest.mark.first(2)
@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("joined", [True, False])
def test_a_name_that_is_saved_again_in_the_background(joined: bool, fails: bool) -> None:
    """The file that is there when Lightning says that it has saved is the one of the epoch before."""
    tracker, saver = Keeps(), Late()
    checkpoint = of(monitor=None, save_top_k=1, filename="same", enable_version_counter=False)
    callback = AccelTrackCallback(tracker, log_checkpoints="last", **ONLY)
    logger = AccelTrackLogger(tracker) if joined else False
    one = trainer(logger, callbacks=[callback, checkpoint], max_epochs=4, plugins=[AsyncCheckpointIO(saver)])
    with pytest.raises(ValueError, match="planned failure") if fails else nullcontext():
        one.fit(Follows(saver, fails), batches(), batches())
    held = callback.logger
    assert held is not None
    held.finish()
    assert list(tracker.stored) == ["same"]
    assert tracker.about["same"]["step"] == 32
    assert tracker.stored["same"]["same.ckpt"] == Path("ckpt/same.ckpt").read_bytes()
    assert epochs_in(tracker.stored["same"]["same.ckpt"]) == 4.0


class Nowhere(CheckpointIO):
    """Saves nothing."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Do nothing."""

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: Any = None) -> dict[str, Any]:
        return {}

    def remove_checkpoint(self, path: Any) -> None:
        """Do nothing."""


def test_a_checkpoint_that_is_never_there() -> None:
    tracker = Keeps()
    with pytest.warns(AccelTrackWarning, match=r"epoch=0.ckpt was not saved, so trackers do not get it"):
        fitted("all", tracker, of(save_top_k=-1), epochs=1, plugins=[Nowhere()]).finish()
    assert tracker.stored == {}


def test_a_checkpoint_that_is_not_there_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0.1)

    class Fails(Scored):
        def on_train_end(self) -> None:
            raise ValueError("planned failure")

    with (
        pytest.warns(AccelTrackWarning, match=r"epoch=0.ckpt was not saved within 0.1 s after the error"),
        pytest.raises(ValueError, match="planned failure"),
    ):
        fitted("all", Keeps(), of(save_top_k=-1), epochs=1, model=Fails(), plugins=[Nowhere()])


def test_checkpoints_that_are_not_local_are_left_out() -> None:
    tracker = Keeps()
    with pytest.warns(AccelTrackWarning, match="is not a local file") as caught:
        fitted("all", tracker, of("memory://ckpt", save_top_k=-1)).finish()
    assert len([one for one in caught if "local file" in str(one.message)]) == 1
    assert tracker.stored == {}
    assert [call[2] for call in tracker.calls if call[0] == "log"][-1] == 31


def test_no_room_for_a_copy_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "link", no_room)
    monkeypatch.setattr(shutil, "copy2", no_room)
    tracker = Keeps()
    with pytest.warns(AccelTrackWarning, match=r"epoch=0.ckpt cannot be given to the trackers .No space left"):
        fitted("all", tracker, of(save_top_k=-1), epochs=1).finish()
    assert tracker.stored == {}
    assert [call[2] for call in tracker.calls if call[0] == "log"] == [1, 3, 5, 7, 7, 7]


# -- several calls -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("joined", [True, False])
def test_a_failed_fit_gives_what_was_saved(joined: bool) -> None:
    class FailsLate(Scored):
        def on_train_epoch_start(self) -> None:
            if self.current_epoch == 2:
                raise ValueError("planned failure")

    tracker = Keeps()
    if joined:
        held: Any = AccelTrackLogger(tracker)
        callback = AccelTrackCallback(log_checkpoints="all", **ONLY)
    else:
        held = callback = AccelTrackCallback(tracker, log_checkpoints="all", **ONLY)
    plugins = [AsyncCheckpointIO(Late())]
    one = trainer(held if joined else False, callbacks=[callback, of(save_top_k=1)], max_epochs=4, plugins=plugins)
    with pytest.raises(ValueError, match="planned failure"):
        one.fit(FailsLate(), batches())
    held.finish()
    assert "epoch=1" in tracker.stored
    assert sorted(tracker.stored) == sorted(path.stem for path in Path("ckpt").glob("*.ckpt"))
    assert kept() == []


@pytest.mark.parametrize("joined", [True, False])
def test_a_second_fit_goes_on_pruning(joined: bool) -> None:
    tracker = Keeps()
    if joined:
        held: Any = AccelTrackLogger(tracker)
        callback = AccelTrackCallback(log_checkpoints="all", **ONLY)
    else:
        held = callback = AccelTrackCallback(tracker, log_checkpoints="all", **ONLY)
    one = trainer(held if joined else False, callbacks=[callback, of(save_top_k=1)], max_epochs=2)
    model = Scored()
    one.fit(model, batches())
    one.test(model, batches(), verbose=False)
    one.fit_loop.max_epochs = 4
    one.fit(model, batches())
    held.finish()
    assert list(tracker.stored) == ["epoch=3"]
    assert tracker.deleted == ["epoch=0", "epoch=1"]


@pytest.mark.parametrize("joined", [True, False])
def test_what_is_saved_on_an_exception(joined: bool) -> None:
    """ModelCheckpoint comes after other callbacks, in `on_exception` too."""

    class FailsLate(Scored):
        def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
            if self.global_step == 12:
                raise ValueError("planned failure")

    tracker = Keeps()
    checkpoint = of(monitor=None, filename="{step}", save_top_k=-1, save_on_exception=True)
    callback = AccelTrackCallback(tracker, log_checkpoints="all", **ONLY)
    one = trainer(AccelTrackLogger([]) if joined else False, callbacks=[callback, checkpoint], max_epochs=4)
    with pytest.raises(ValueError, match="planned failure"):
        one.fit(FailsLate(), batches())
    held = callback.logger
    assert held is not None
    held.finish()
    assert sorted(path.stem for path in Path("ckpt").glob("*.ckpt")) == ["step=12", "step=8"]
    assert sorted(tracker.stored) == ["step=12", "step=8"]
