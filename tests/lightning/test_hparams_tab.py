"""TensorBoard's HParams tab, as its own backend shows it, beside what Lightning's own logger gives it."""

from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch.loggers import TensorBoardLogger

from accel_track import AccelTrackCallback, AccelTrackLogger
from tests.support.hparams_tab import hparams_tab
from tests.support.models import Tiny, batches, trainer
from tests.support.skips import need

QUIET: dict[str, Any] = {"log_throughput": False, "log_system": False}


class Scored(Tiny):
    """Logs the metric that Lightning's logger keeps a column for."""

    def on_train_epoch_end(self) -> None:
        super().on_train_epoch_end()
        self.log("hp_metric", 0.75)


class Told(Tiny):
    """Gives the logger metrics beside the hyperparameters, as Lightning's documentation shows it."""

    def on_train_start(self) -> None:
        for one in self.loggers:
            one.log_hyperparams({**self.hparams, "late": 1}, {"hp_metric": 0.5, "hp/loss": 2.0})


def fit(module: Tiny, logger: Any, *callbacks: Any) -> None:
    both = trainer(logger, callbacks=list(callbacks), default_root_dir="root", enable_checkpointing=False)
    both.fit(module, batches(), batches())
    for one in (logger, *callbacks):
        if hasattr(one, "finish"):
            one.finish()


@pytest.mark.parametrize(
    ("door", "module"),
    [("logger", Told), ("logger", Scored), ("config", Told), ("both", Told), ("callback", Scored)],
)
def test_all_hyperparameters_and_metrics_are_there(tmp_path: Path, module: type[Tiny], door: str) -> None:
    """One session for each run, with what all calls gave before the first value, and all that Lightning's has."""
    theirs = TensorBoardLogger(str(tmp_path / "theirs"), default_hp_metric=module is Scored)
    fit(module(), theirs)
    ours, more = tmp_path / "ours", {"data": "digits"} if door in ("config", "callback") else None
    if door == "callback":
        fit(module(), False, AccelTrackCallback(save_dir=ours, config=more, **QUIET))
    else:
        callbacks = [AccelTrackCallback("tensorboard", **QUIET)] if door == "both" else []
        fit(module(), AccelTrackLogger(save_dir=ours, config=more), *callbacks)
    reference, tab = hparams_tab(tmp_path / "theirs"), hparams_tab(ours)
    (session,), (its,) = tab.sessions.values(), reference.sessions.values()
    model = {name: value for name, value in session.hparams.items() if name.startswith("model/")}
    assert bool(model) == (door in ("both", "callback"))
    assert session.hparams == {**its.hparams, "layers": "[1, 2]", **(more or {}), **model}  # a tuple is a list here
    assert its.metrics
    assert session.metrics.items() >= its.metrics.items()
    assert (set(tab.hparams), set(tab.metrics)) == (set(session.hparams), set(session.metrics))
    assert {"val_loss", *its.metrics} <= set(tab.metrics)
    assert session.status == "STATUS_SUCCESS"


class OfCommandLine(Scored):
    """Has its data itself."""

    def train_dataloader(self) -> Any:
        return batches()

    def val_dataloader(self) -> Any:
        return batches()


def test_a_command_line_has_its_options_and_the_modules_hyperparameters(tmp_path: Path) -> None:
    need("jsonargparse")
    from lightning.pytorch.cli import LightningCLI

    options = {
        "logger": "accel_track.AccelTrackLogger",
        "logger.save_dir": str(tmp_path),
        "max_epochs": 1,
        "accelerator": "cpu",
        "enable_progress_bar": "false",
        "enable_checkpointing": "false",
    }
    arguments = [f"--trainer.{name}={value}" for name, value in options.items()]
    cli = LightningCLI(OfCommandLine, args=["fit", *arguments, "--model.lr=0.125"], run=True)
    cli.trainer.logger.finish()
    (session,) = hparams_tab(tmp_path).sessions.values()
    assert session.hparams["lr"] == 0.125
    assert [value for name, value in session.hparams.items() if name.endswith("max_epochs")] == [1.0]
    assert session.metrics["hp_metric"] == 0.75


def test_columns_are_those_of_all_runs(tmp_path: Path) -> None:
    """A folder's runs may have other hyperparameters and metrics; one that failed is not shown as a success."""
    first = AccelTrackLogger(save_dir=tmp_path, version="first")
    first.log_hyperparams({"lr": 0.5})
    first.log_metrics({"loss": 1.0}, 0)
    first.finish()
    second = AccelTrackLogger(save_dir=tmp_path, version="second", config={"width": 2, "gamma": float("nan")})
    second.open().flush()  # writes no session of a part of them
    second.log_hyperparams({"width": 3})
    second.log_metrics({"accuracy": 0.5}, 0)
    second.open().flush()
    second.log_hyperparams({"after": 1})
    second.finish("failed")
    tab = hparams_tab(tmp_path)
    assert (sorted(tab.hparams), tab.metrics) == (["gamma", "lr", "width"], ["accuracy", "loss"])
    assert {Path(name).name: tuple(one) for name, one in tab.sessions.items()} == {
        "first": ({"lr": 0.5}, {"loss": 1.0}, "STATUS_SUCCESS"),
        "second": ({"width": 3.0, "gamma": "nan"}, {"accuracy": 0.5}, "STATUS_UNKNOWN"),
    }
