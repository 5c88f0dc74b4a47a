"""How long it takes until training begins: imports, the logger's construction, the first step."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks._case import Case, Measured
from benchmarks._clients import Client, open_client
from benchmarks._counts import count, expected
from benchmarks._settings import named

TITLE = "Starting"
ABOUT = """\
Times in ms. *First step*: from the construction of the logger, in a program that has imported Lightning, to the first
training step; with TensorBoard, wandb and MLflow, and the import of their SDKs."""
COLUMNS = {"ms": "ms"}
MAIN = "ms"
_TOGETHER = "tensorboard+wandb+mlflow"

_case = partial(Case, "startup")
_PLAIN = "first step, logger=False"
CASES = [
    _case("import accel_track", "import", quick=True),
    _case("import torch", "import"),
    _case("AccelTrackLogger(...)", "construct", quick=True),
    _case(_PLAIN, "plain", once=True),
    *[
        _case(f"first step, {mode}", "logger", _TOGETHER, mode, against=_PLAIN, once=True)
        for mode in ("thread", "process", "inline", "none")
    ],
    _case("first step, PL", "PL", _TOGETHER, against=_PLAIN, once=True),
]
_STEPS = 3


def run(case: Case, folder: Path, short: bool) -> Measured:
    """Measure one of the rows."""
    if case.system == "import":
        return Measured({"ms": statistics.median(_import(case.name) for _ in range(2 if short else 5))})
    if case.system == "construct":
        return _construct(folder)
    return _first_step(case, folder)


def _import(statement: str) -> float:
    code = f"import time; begin = time.perf_counter(); {statement}; print((time.perf_counter() - begin) * 1000)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    return float(done.stdout)


def _construct(folder: Path) -> Measured:
    from accel_track import AccelTrackLogger

    begin = time.perf_counter()
    AccelTrackLogger("tensorboard", save_dir=folder)
    return Measured({"ms": (time.perf_counter() - begin) * 1000})


def _first_step(case: Case, folder: Path) -> Measured:
    import torch
    from lightning.pytorch import Callback, LightningModule, Trainer
    from torch.utils.data import DataLoader

    class Model(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(4, 1)

        def training_step(self, batch: torch.Tensor, _: int) -> torch.Tensor:
            loss = self.layer(batch).mean()
            self.log("metric_0", loss)
            return loss

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), 1e-3)

    begun: list[float] = []

    class First(Callback):
        def on_train_batch_start(self, *_: Any) -> None:
            begun.append(time.perf_counter())

    off = dict.fromkeys(("enable_progress_bar", "enable_checkpointing", "enable_model_summary"), False)
    model, data = Model(), DataLoader(torch.ones(_STEPS, 4))
    begin = time.perf_counter()
    clients = _clients(case, folder)
    loggers = [client.logger for client in clients]
    trainer = Trainer(logger=loggers, callbacks=[First()], max_epochs=1, log_every_n_steps=1, accelerator="cpu", **off)
    trainer.fit(model, data)
    for client in clients:
        client.finish()
    values = {"ms": (begun[0] - begin) * 1000}
    if case.system == "plain" or case.delivery == "none":
        return Measured(values)
    return Measured(values, expected(case.backend, _STEPS), *count(case.backend, folder))


def _clients(case: Case, folder: Path) -> list[Client]:
    """Return one client of ours for all backends, or one of Lightning's for each."""
    if case.system == "plain":
        return []
    if case.system == "logger":
        return [open_client(case, folder)]
    return [open_client(replace(case, backend=name), folder) for name in named(case.backend)]
