"""Samples of a validation under a real Trainer, and the watch of a module that a Trainer fits."""

import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import LightningModule
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from accel_track import AccelTrackCallback, AccelTrackLogger
from accel_track.errors import AccelTrackWarning
from accel_track.journal.directory import find_runs
from accel_track.journal.reader import JournalReader
from accel_track.lightning.grid import grid
from accel_track.lightning.predictions import Counts, Predicted, inputs_and_targets, per_class, predicted
from accel_track.media import ConfusionMatrix, Histogram, Image, Table, Text
from accel_track.records import Metrics, Stored
from accel_track.testing import RecordingTracker
from tests.support import warm
from tests.support.models import Tiny, batches, trainer
from tests.support.ranks import ranks

callback_of = partial(
    AccelTrackCallback,
    log_learning_rate=False,
    log_throughput=False,
    log_system=False,
    log_summary=False,
    log_environment=False,
)
N = 20
PROGRAMS = Path(__file__).parents[1] / "support" / "programs"


def data(n: int = N, batch: int = 8) -> DataLoader[Any]:
    torch.manual_seed(0)
    return DataLoader(TensorDataset(torch.rand(n, 1, 8, 8), torch.arange(n) % 3), batch)


class Classifier(LightningModule):
    """Takes every image for what it is, but class 2 for 1; returns what a test asks for."""

    def __init__(self, returns: str = "logits") -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1)
        self.returns, self.forwards = returns, 0

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        assert not self.training
        assert not torch.is_grad_enabled()
        self.forwards += 1
        return torch.eye(3)[self.classes[: len(images)]]

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        return self.layer(torch.ones(2, 1)).square().sum()

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> Any:
        targets = batch[1]
        classes = targets.clamp(max=1)
        self.classes = classes
        logits = torch.eye(3)[classes]
        self.log("val_loss", 0.5)
        return {
            "logits": logits,
            "dict": {"loss": logits.sum(), "preds": classes},
            "classes": classes,
            "loss": logits.sum(),
            "nothing": None,
        }[self.returns]

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.01)


def fitted(model: LightningModule, callback: AccelTrackCallback, *val: Any, **arguments: Any) -> dict[str, Any]:
    """Fit for an epoch; return what was logged for the validation, and its step as "step"."""
    one = trainer(False, callbacks=[callback], **arguments)
    one.fit(model, data(), list(val) or data())
    callback.finish()
    tracker = callback.logger._session.selected[0].instance
    found: dict[str, Any] = {}
    for call in tracker.calls:
        if call[0] == "log":
            found |= {name: value for name, value in call[1].items() if name.startswith(("validation/", "mine"))}
            if any(name.startswith("validation/") for name in call[1]):
                found["step"] = call[2]
    return found


@pytest.mark.parametrize("returns", ["logits", "dict", "classes"])
def test_samples_matrix_and_table(returns: str) -> None:
    model = Classifier(returns)
    found = fitted(model, callback_of(RecordingTracker(), log_samples=5, class_names=["cat", "dog", "cow"]))
    assert sorted(found) == ["step", "validation/classes", "validation/confusion_matrix", "validation/samples"]
    assert found["step"] == 2
    matrix = found["validation/confusion_matrix"]
    assert isinstance(matrix, ConfusionMatrix)
    assert matrix.matrix == [[7, 0, 0], [0, 7, 0], [0, 6, 0]]
    assert matrix.labels == ["cat", "dog", "cow"]
    table = found["validation/classes"]
    assert isinstance(table, Table)
    assert table.columns == ["class", "precision", "recall", "f1", "count"]
    assert table.rows == [["cat", 1.0, 1.0, 1.0, 7], ["dog", 0.5385, 1.0, 0.7, 7], ["cow", None, 0.0, 0.0, 6]]
    image = found["validation/samples"]
    assert isinstance(image, Image)
    assert image.caption == "target → prediction; 4 of 5 right"
    assert model.forwards == 0


def test_without_predictions_one_forward_call_gives_samples_alone() -> None:
    model = Classifier("loss")
    with pytest.warns(AccelTrackWarning, match="returns no predictions"):
        found = fitted(model, callback_of(RecordingTracker(), log_samples=16), max_epochs=1)
    assert sorted(found) == ["step", "validation/samples"]
    assert model.forwards == 1
    assert found["validation/samples"].caption == "target → prediction; 6 of 8 right"


def test_what_is_no_classification_is_said_once() -> None:
    tracker = RecordingTracker()
    one = trainer(False, callbacks=[callback_of(tracker, log_samples=4)], max_epochs=2)
    with pytest.warns(AccelTrackWarning, match="log_samples: nothing is logged: the batches have no targets") as caught:
        one.fit(Tiny(), batches(), batches())
    assert len([one for one in caught if "log_samples" in str(one.message)]) == 1
    assert not any("validation" in name for call in tracker.calls if call[0] == "log" for name in call[1])


def test_it_is_off_by_default_and_sanity_checks_are_left_out() -> None:
    assert fitted(Classifier(), callback_of(RecordingTracker())) == {}
    assert fitted(Classifier(), callback_of(RecordingTracker(), log_samples=0)) == {}
    callback = callback_of(tracker := RecordingTracker(), log_samples=4)
    one = trainer(False, callbacks=[callback], num_sanity_val_steps=2)
    one.fit(Classifier(), data(), data())
    assert sum("validation/samples" in call[1] for call in tracker.calls if call[0] == "log") == 1
    for wrong in (-1, True, "16"):
        with pytest.raises(ValueError, match="log_samples"):
            callback_of(log_samples=wrong)


def test_names_come_from_the_module_and_several_loaders_are_told_apart() -> None:
    model = Classifier()
    model.class_names = ("a", "b")
    found = fitted(model, callback_of(RecordingTracker(), log_samples=2), data(), data(4))
    kinds = ("samples", "confusion_matrix", "classes")
    assert set(found) == {"step", *(f"validation/{kind}/dataloader_idx_{n}" for kind in kinds for n in (0, 1))}
    assert found["validation/confusion_matrix/dataloader_idx_1"].labels == ["a", "b", "2"]
    assert sum(map(sum, found["validation/confusion_matrix/dataloader_idx_1"].matrix)) == 4


def test_a_function_makes_media_of_the_first_batch() -> None:
    calls = []

    def mine(_: Any, module: Any, batch: Any, outputs: Any) -> dict[str, Any]:
        assert not module.training
        calls.append((len(batch[0]), outputs["preds"].tolist()))
        return {"mine/first": Image(batch[0][0]), "mine/note": Text("ü"), "mine/number": 2.0}

    found = fitted(Classifier("dict"), callback_of(RecordingTracker(), log_samples=mine), max_epochs=2)
    assert calls == [(8, [0, 1, 1, 0, 1, 1, 0, 1])] * 2
    assert (type(found["mine/first"]), found["mine/note"].text, found["mine/number"]) == (Image, "ü", 2.0)


def test_inputs_that_are_no_images_make_a_table() -> None:
    class Flat(Classifier):
        def val_dataloader(self) -> Any:
            return DataLoader(TensorDataset(torch.rand(4, 5), torch.arange(4) % 3), 4)

    model = Flat()
    tracker = RecordingTracker()
    trainer(False, callbacks=[callback_of(tracker, log_samples=3)]).fit(model, data())
    (table,) = (call[1]["validation/samples"] for call in tracker.calls if "validation/samples" in str(call[1:2]))
    assert (table.columns, table.rows[2]) == (["target", "prediction", "right"], ["2", "1", False])


# -- what is found ----------------------------------------------------------------------------------------------------


def test_batches_of_many_forms() -> None:
    inputs, targets = torch.rand(4, 3), torch.arange(4)
    for batch in ((inputs, targets), [inputs, targets, 1], {"x": inputs, "y": targets}, (inputs, targets[:, None])):
        found = inputs_and_targets(batch)
        assert found is not None
        assert torch.equal(found[0], inputs)
        assert found[1].tolist() == [0, 1, 2, 3]
    texts = inputs_and_targets((["a", "b", "c", "d"], targets))
    assert texts is not None
    assert texts[0] == ["a", "b", "c", "d"]
    words = inputs_and_targets({"input_ids": inputs, "labels": targets})
    assert words is not None
    assert words[0] is None
    for other in (inputs, (inputs, inputs[:, 0]), (inputs, inputs.long()), [inputs], None, {"x": inputs}, "text"):
        assert inputs_and_targets(other) is None


def test_predictions_of_many_forms() -> None:
    logits = torch.tensor([[0.1, 0.9], [0.8, 0.2]])
    for outputs in (
        logits,
        {"logits": logits},
        {"y_hat": logits},
        {"preds": logits.argmax(1)},
        logits.argmax(1)[:, None],
    ):
        found = predicted(outputs, 2)
        assert found is not None
        assert found.classes.tolist() == [1, 0]
    binary = torch.tensor([0.2, -0.2])
    of_logits, of_shares = predicted({"logits": binary[:, None]}, 2), predicted({"probs": binary}, 2)
    assert of_logits is not None
    assert of_shares is not None
    assert (of_logits.classes.tolist(), of_shares.classes.tolist()) == ([1, 0], [0, 0])
    for other in (torch.tensor(0.5), binary, None, {"loss": binary.sum()}, torch.rand(3, 2), torch.rand(2, 3, 4)):
        assert predicted(other, 2) is None


def test_counts_leave_out_what_is_no_class_and_grow() -> None:
    counts = Counts()
    counts.add(torch.tensor([0, -100, 1]), Predicted(torch.tensor([0, 0, 1]), None), 0)
    counts.add(torch.tensor([3]), Predicted(torch.tensor([0]), None), 0)
    assert counts.table is not None
    assert counts.table.tolist() == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0]]
    counts.add(torch.tensor([3000]), Predicted(torch.tensor([0]), None), 0)
    assert (counts.table, counts.size) == (None, 3001)


def test_per_class_agrees_with_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    targets, guesses = rng.integers(0, 5, 300), rng.integers(0, 5, 300)
    rows = per_class(metrics.confusion_matrix(targets, guesses).tolist(), list("abcde"))
    expected = metrics.precision_recall_fscore_support(targets, guesses)
    np.testing.assert_allclose(np.array([row[1:] for row in rows]).T, np.array(expected), atol=5e-5)


def test_a_grid_of_small_large_and_normalised_images() -> None:
    for images in (
        torch.rand(5, 1, 8, 8),
        torch.randn(5, 3, 40, 30) * 3,
        torch.randint(0, 255, (5, 300, 500, 3)).byte(),
    ):
        picture = grid(images, ["3", "a", "ü", "", "x" * 99], ["8", "a", "猫", "", "x"])
        assert picture.ndim == 3
        assert picture.shape[2] == 3
        assert picture.min() < 60
        assert picture.max() == 255


# -- watch ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("door", ["logger", "callback", "callback beside a logger"])
def test_watch_logs_with_the_step_of_the_batch(door: str) -> None:
    tracker, model = RecordingTracker(), Tiny()
    logger = AccelTrackLogger(tracker, prefix="run") if "logger" in door else None
    callback = callback_of(*([] if logger else [tracker]), prefix="" if logger else "run")
    watching: Any = logger if door == "logger" else callback
    watching.watch(model, "all", log_freq=3, log_graph=False)
    one = trainer(logger or False, callbacks=[callback], accumulate_grad_batches=2)
    one.fit(model, batches())
    one.test(model, batches(), verbose=False)
    found = [
        (call[2], call[1]) for call in tracker.calls if call[0] == "log" and "run-gradients/layer.weight" in call[1]
    ]
    assert [step for step, _ in found] == [0, 2]
    assert all(len(values) == 4 and isinstance(values["run-parameters/layer.bias"], Histogram) for _, values in found)
    (logger or callback).finish()
    assert not model.layer.weight._post_accumulate_grad_hooks


def test_watch_refuses_other_arguments_and_none_is_nothing() -> None:
    callback, logger = callback_of(RecordingTracker()), AccelTrackLogger(RecordingTracker())
    for one in (callback, logger):
        one.watch(Tiny(), None)
        with pytest.raises(ValueError, match="log"):
            one.watch(Tiny(), "graph")
        with pytest.raises(TypeError, match="Module"):
            one.watch("model")
    logger.finish()


# -- several processes ------------------------------------------------------------------------------------------------


def journaled() -> dict[str, Any]:
    """Return what the only run's journal has of each name of a medium: as it is stored."""
    (run,) = find_runs(Path())
    found: dict[str, Any] = {}
    for record in JournalReader(run.rank(0)):
        for name, value in record.values.items() if isinstance(record, Metrics) else ():
            if isinstance(value, Stored):
                found[name] = value.info
    return found


@pytest.mark.timeout(200)
@pytest.mark.parametrize("strategy", ["ddp", pytest.param("ddp_spawn", marks=pytest.mark.long)])
def test_several_processes_count_together_and_gradients_are_averaged(strategy: str) -> None:
    command = [sys.executable, str(PROGRAMS / "samples.py"), strategy]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = ranks(command, timeout=150) if strategy == "ddp" else [warm.run(command, timeout=150, env=environment)]
    for one in done:
        assert one.returncode == 0, one.stderr
    found = journaled()
    matrix = np.array(found["validation/confusion_matrix"]["matrix"])
    assert matrix.sum(axis=1).tolist() == [4, 4, 4]
    assert matrix[2].tolist() == [0, 2, 2]
    assert found["validation/samples"]["caption"].startswith("target")
    assert found["gradients/layer.weight"]["sum"] == 1.5
