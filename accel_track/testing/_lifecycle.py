"""Conformance: from construction to the end, directly, through both front doors, and on other ranks."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from torch.utils.data import DataLoader, TensorDataset

from accel_track.accelerator.facade import Accelerator
from accel_track.errors import AccelTrackWarning
from accel_track.journal.directory import find_runs
from accel_track.lightning import AccelTrackLogger
from accel_track.records import Metrics
from accel_track.registry import TrackerName
from accel_track.testing._backend import Backend, same


class LifecycleContract(Backend):
    """The contract of `start`, `rest`, `finish` and of the front doors' runs."""

    def test_constructing_imports_no_sdk(self) -> None:
        """Construction is free of side effects."""
        code = (
            "import sys; import accel_track.tracking as t\n"
            f"t.{self.tracker_class.__name__}(**{self._plain_arguments()!r})\n"
            f"assert {self.tracker_class.sdk!r} not in sys.modules, 'SDK imported'\n"
            "assert 'torch' not in sys.modules, 'torch imported'\n"
        )
        if self.tracker_class.__module__.startswith("accel_track."):
            subprocess.run([sys.executable, "-c", code], check=True, timeout=60)

    def _plain_arguments(self) -> dict[str, Any]:
        directory = {"logging_dir": "nowhere"} if self.tracker_class.requires_logging_directory else {}
        first = "experiment_name" if self.tracker_class.name == "mlflow" else "run_name"
        return {first: "contract", **directory}

    def test_starting_and_finishing_twice(self, tmp_path: Path) -> None:
        """A second start opens no second run; a second finish does nothing."""
        tracker = self.make(tmp_path)
        tracker.start()
        tracker.start()
        tracker.log({"loss": 0.5}, step=0)
        tracker.finish()
        tracker.finish()
        stored = self.read(tmp_path)
        assert stored.runs == 1
        assert self.points(stored, "loss") == [(0, 0.5)]

    def test_a_run_leaves_no_thread_and_no_descriptor(self, tmp_path: Path) -> None:
        """A run uses the threads and descriptors again that a finished run has left."""
        threads: list[set[threading.Thread]] = []
        files: list[int] = []
        for number in range(4):
            tracker = self.make(tmp_path / str(number))
            tracker.start()
            tracker.log({"loss": 0.5}, step=0)
            tracker.finish()
            gc.collect()
            threads.append(set(threading.enumerate()))
            files.append(len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0)
        assert len(threads[3]) <= len(threads[1]), threads[3] - threads[1]
        assert files[3] <= files[1]

    def test_an_idle_run_goes_on(self, tmp_path: Path) -> None:
        """After a flush and `rest`, the next calls store as the first did, from another thread if that may be."""
        tracker = self.make(tmp_path)
        thread = ThreadPoolExecutor(1)
        thread.submit(tracker.start).result()
        thread.submit(tracker.store_init_configuration, {"lr": 0.1}).result()
        for step in range(3):
            record = Metrics(step, time.time(), {"loss": 0.5 * step}, step)
            thread.submit(tracker.log_batch, [record]).result()
            thread.submit(tracker.flush).result()
            thread.submit(tracker.rest).result()
            if not tracker.thread_bound:
                thread.shutdown()
                thread = ThreadPoolExecutor(1)
        thread.submit(tracker.finish).result()
        thread.shutdown()
        stored = self.read(tmp_path)
        assert self.points(stored, "loss") == [(step, 0.5 * step) for step in range(3)]
        assert same(stored.config["lr"], 0.1)
        assert stored.runs == 1

    def test_off_the_main_process_nothing_happens(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """On rank 1 a `main_process_only` tracker does nothing and its native object accepts everything."""
        if not self.tracker_class.main_process_only:
            assert self.tracker_class.name in {"wandb", "swanlab", "trackio"}
            return
        monkeypatch.setenv("RANK", "1")
        tracker = self.make(tmp_path)
        before = sorted(tmp_path.rglob("*"))
        tracker.start()
        tracker.store_init_configuration({"lr": 0.1})
        tracker.log({"loss": 0.5}, step=0)
        tracker.tracker.config.update({"a": 1})
        tracker.finish()
        assert sorted(tmp_path.rglob("*")) == before

    def test_through_the_front_door(self, tmp_path: Path) -> None:
        """Given by name, the tracker stores under the project's name what the facade logs."""
        accelerator = Accelerator(log_with=TrackerName(self.tracker_class.name), project_dir=tmp_path, cpu=True)
        kwargs = {self.tracker_class.name: self.init_kwargs(tmp_path)}
        accelerator.init_trackers("digits", config={"lr": 0.1}, init_kwargs=kwargs)
        accelerator.log({"loss": np.float32(0.5)}, step=1)
        assert accelerator.get_tracker(self.tracker_class.name, unwrap=True) is not None
        accelerator.end_training()
        stored = self.read(tmp_path)
        assert self.points(stored, "loss") == [(1, 0.5)]
        assert same(stored.config["lr"], 0.1)
        (run,) = find_runs(tmp_path)
        assert (stored.project, stored.run_name) == ("digits", run.load().name), "the name is made from the run's id"

    def test_project_and_run_name(self, tmp_path: Path) -> None:
        """A front door's project and run name are the backend's."""
        tracker = self.tracker_class.for_run("digits", "version_3", tmp_path, self.init_kwargs(tmp_path))
        tracker.start()
        tracker.log({"loss": 0.5}, step=0)
        tracker.finish()
        stored = self.read(tmp_path)
        assert (stored.project, stored.run_name) == ("digits", "version_3")

    def test_a_forgotten_end_loses_nothing(self, tmp_path: Path) -> None:
        """A program that ends, or fails, without `end_training` leaves a complete run."""
        name = self.tracker_class.name
        kwargs = {key: value for key, value in self.init_kwargs(tmp_path).items() if type(value) in (bool, int, str)}
        code = (
            "from accel_track import Accelerator\n"
            f"accelerator = Accelerator(log_with={name!r}, project_dir={str(tmp_path)!r}, cpu=True)\n"
            f"accelerator.init_trackers('digits', config={{'lr': 0.25}}, init_kwargs={{{name!r}: {kwargs!r}}})\n"
            "for step in range(5):\n    accelerator.log({'loss': 0.5 * step}, step=step)\n"
            "raise SystemExit(3)\n"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=90, check=False)
        assert done.returncode == 3, done.stderr
        assert "Traceback" not in done.stderr
        stored = self.read(tmp_path)
        assert self.points(stored, "loss") == [(step, 0.5 * step) for step in range(5)]
        assert same(stored.config["lr"], 0.25)

    def test_fit_and_test_of_a_trainer_are_one_run(self, tmp_path: Path) -> None:
        """Under Lightning's Trainer, metrics of all stages and hyperparameters reach one run; nothing is dropped."""
        name = self.tracker_class.name
        kwargs = {name: self.init_kwargs(tmp_path)}
        logger = AccelTrackLogger(
            TrackerName(name), name="digits", version="first", save_dir=tmp_path, init_kwargs=kwargs
        )
        trainer = Trainer(
            max_epochs=1,
            limit_val_batches=2,
            log_every_n_steps=2,
            logger=logger,
            accelerator="cpu",
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=False,
        )
        module = _Module()
        with warnings.catch_warnings():
            warnings.simplefilter("error", AccelTrackWarning)
            trainer.fit(module, _batches(), _batches())
            trainer.test(module, _batches(), verbose=False)
            logger.finish()
        stored = self.read(tmp_path)
        assert (stored.project, stored.run_name, stored.runs) == ("digits", "first", 1)
        assert [step for step, _ in self.points(stored, "loss")] == [1, 3, 5, 7]
        assert [step for step, _ in self.points(stored, "val/loss")] == [7]
        assert self.points(stored, "late") == [(7, 3.0)]
        assert self.points(stored, "final") == [(8, 5.0)]
        assert same(stored.config["lr"], 0.25)
        assert same(stored.config["layers"], [1, 2])


class _Module(LightningModule):
    def __init__(self, lr: float = 0.25, layers: tuple[int, ...] = (1, 2)) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.layer = torch.nn.Linear(1, 1)

    def training_step(self, batch: list[torch.Tensor]) -> torch.Tensor:
        loss: torch.Tensor = self.layer(batch[0]).square().mean()
        self.log("loss", loss)
        return loss

    def on_train_epoch_end(self) -> None:
        self.log("late", 3.0)

    def validation_step(self, batch: list[torch.Tensor]) -> None:
        self.log("val/loss", self.layer(batch[0]).square().mean())

    def test_step(self, batch: list[torch.Tensor]) -> None:
        self.log("final", 5.0)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.01)


def _batches() -> DataLoader[Any]:
    """Return 8 batches of one sample: training steps 0 to 7."""
    return DataLoader(TensorDataset(torch.linspace(0, 1, 8)[:, None]), batch_size=1)
