"""The demonstration run: a small network on the 1,797 handwritten digits that scikit-learn ships."""

from __future__ import annotations

import logging
import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer, seed_everything
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset, random_split

from accel_track import media
from accel_track.lightning import AccelTrackCallback, AccelTrackLogger

_TEXT = "/text_summary"
"""The ending that TensorBoard puts behind the name of a text."""

Stored = dict[str, list[tuple[int, float]]]
"""Points `(step, value)` by metric name."""

_NOTE = """\
# Handwritten digits

A network with one hidden layer learns *1,797 images* of 8 x 8 pixels.

| set | share |
|---|---|
| training | 70 % |
| validation | 15 % |
| test | 15 % |
"""


@dataclass(frozen=True)
class DemoRun:
    """The places of the demonstration's data."""

    root_dir: str
    log_dir: str
    mlflow_uri: str
    mlflow_run_id: str


class Digits(LightningModule):
    """A classifier of images of shape (1, 8, 8), with pixels between 0 and 1, into 10 digits.

    Args:
        hidden: Width of the hidden layer.
        lr: Adam's learning rate.
    """

    def __init__(self, hidden: int = 64, lr: float = 0.003) -> None:
        """Build the network and keep the hyperparameters."""
        super().__init__()
        self.save_hyperparameters()
        self.lr = lr
        self.network = nn.Sequential(nn.Flatten(), nn.Linear(64, hidden), nn.ReLU(), nn.Linear(hidden, 10))

    def _measure(self, batch: list[Tensor], stage: str) -> tuple[Tensor, Tensor]:
        images, digits = batch
        logits = self.network(images)
        loss = functional.cross_entropy(logits, digits)
        accuracy = (logits.argmax(dim=1) == digits).float().mean()
        self.log_dict({f"{stage}/loss": loss, f"{stage}/accuracy": accuracy}, prog_bar=stage == "val")
        return loss, logits

    def training_step(self, batch: list[Tensor]) -> Tensor:
        """Return the loss of one batch."""
        return self._measure(batch, "train")[0]

    def validation_step(self, batch: list[Tensor]) -> Tensor:
        """Measure one batch; return the logits, which a callback may look at."""
        return self._measure(batch, "val")[1]

    def test_step(self, batch: list[Tensor]) -> None:
        """Measure one batch."""
        self._measure(batch, "test")

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return Adam."""
        return torch.optim.Adam(self.parameters(), lr=self.lr)


def loaders(batch_size: int = 64) -> tuple[DataLoader[Any], DataLoader[Any], DataLoader[Any]]:
    """Return data loaders for training (70 %), validation (15 %) and test (15 %)."""
    from sklearn.datasets import load_digits

    digits: Any = load_digits()
    images = torch.tensor(digits.images, dtype=torch.float32)[:, None] / 16
    data = TensorDataset(images, torch.tensor(digits.target))
    train, val, test = random_split(data, [0.7, 0.15, 0.15], generator=torch.Generator().manual_seed(0))
    return (
        DataLoader(train, batch_size, shuffle=True),
        DataLoader(val, batch_size),
        DataLoader(test, batch_size),
    )


def train(folder: Path, epochs: int) -> DemoRun:
    """Train, validate and test, logging to TensorBoard and MLflow below `folder`."""
    seed_everything(0, verbose=False)
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    logging.getLogger("mlflow.store").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*LeafSpec.*")  # Lightning 2.6 with torch 2.13
    folder = folder.resolve()
    uri = f"sqlite:///{(folder / 'mlflow.db').as_posix()}"
    mlflow = {"tracking_uri": uri, "logging_dir": (folder / "mlartifacts").as_uri()}
    logger = AccelTrackLogger(["tensorboard", "mlflow"], name="digits", save_dir=folder, init_kwargs={"mlflow": mlflow})
    training, validation, test = loaders()
    model = Digits()
    logger.watch(model, every=40)
    logger.log_metrics({"note": media.Text(_NOTE)}, 0)
    trainer = Trainer(
        max_epochs=epochs,
        logger=logger,
        callbacks=_pictures(),
        log_every_n_steps=5,
        accelerator="cpu",
        enable_model_summary=False,
    )
    trainer.fit(model, training, validation)
    trainer.test(model, test, verbose=False)
    run = DemoRun(logger.root_dir, logger.log_dir, uri, logger.get_tracker("mlflow", unwrap=True).info.run_id)
    logger.finish()
    return run


def _pictures() -> AccelTrackCallback:
    """Return a callback that logs what the network takes samples for, and of what kind its mistakes are."""
    return AccelTrackCallback(
        log_samples=16,
        log_learning_rate=False,
        log_throughput=False,
        log_system=False,
        log_summary=False,
        log_environment=False,
    )


def _events(run: DemoRun) -> Any:
    from tensorboard.backend.event_processing import event_accumulator

    events = event_accumulator.EventAccumulator(run.log_dir, event_accumulator.STORE_EVERYTHING_SIZE_GUIDANCE)
    events.Reload()
    return events


def read_tensorboard(run: DemoRun) -> Stored:
    """Return every scalar in the run's event file."""
    events = _events(run)
    return {name: [(event.step, event.value) for event in events.Scalars(name)] for name in events.Tags()["scalars"]}


def read_mlflow(run: DemoRun) -> Stored:
    """Return every metric of the run in the MLflow database, but for those that its tracker makes of histograms."""
    from mlflow import MlflowClient

    client = MlflowClient(run.mlflow_uri)
    names = [name for name in client.get_run(run.mlflow_run_id).data.metrics if not name.startswith("gradients/")]
    return {
        name: [(metric.step, metric.value) for metric in client.get_metric_history(run.mlflow_run_id, name)]
        for name in names
    }


def media_of_tensorboard(run: DemoRun) -> Counter[str]:
    """Return the number of pictures, histograms and texts of each name in the event file."""
    events = _events(run)
    tags = events.Tags()
    found = Counter({name: len(events.Images(name)) for name in tags["images"]})
    found.update({name: len(events.Histograms(name)) for name in tags["histograms"]})
    texts = [name for name in tags["tensors"] if name.endswith(_TEXT)]
    found.update({name.removesuffix(_TEXT): len(events.Tensors(name)) for name in texts})
    return found


def media_of_mlflow(run: DemoRun) -> Counter[str]:
    """Return the number of files of each name among the run's artifacts in MLflow."""
    from mlflow import MlflowClient

    client = MlflowClient(run.mlflow_uri)
    found: Counter[str] = Counter()
    folders = ["images", "media"]
    while folders:
        for one in client.list_artifacts(run.mlflow_run_id, folders.pop()):
            folder, _, file = one.path.partition("/")[2].rpartition("/")
            if one.is_dir:
                folders.append(one.path)
            elif folder:
                found[folder] += 1
            elif file.endswith(".png"):  # MLflow's own form of a name with a slash, and of a step
                found[file.partition("+")[0].replace("~", "/")] += 1
    return found
