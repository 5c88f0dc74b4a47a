"""What logging adds to each step of a Lightning fit with 5 metrics and `log_every_n_steps=1`."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks._case import Case, Measured
from benchmarks._clients import Client, open_client
from benchmarks._counts import count
from benchmarks._measure import Log, StepClock

TITLE = "A Lightning fit"
ABOUT = """\
How much longer a step of a Lightning fit takes if it logs 5 metrics, in µs. The logger is taken out and put back in
turns, as in the step tax above. The row *no-op logger* shows what the Trainer itself does for any logger."""
COLUMNS = {
    "extra": "overhead",
    "waits": "no core",
    "p99": "step p99 with logging",
    "step": "plain step",
    "p99_off": "plain step p99",
}
MAIN = "extra"
METRICS = 5

_case = partial(Case, "lightning_fit")
_NOTHING = "no-op logger"
CASES = [
    _case(_NOTHING, quick=True),
    _case("no-op logger with os.write", "floor", against=_NOTHING),
    _case("logger tensorboard", "logger", "tensorboard", against=_NOTHING, quick=True),
    _case("logger tensorboard (process)", "logger", "tensorboard", "process", against=_NOTHING, once=True),
    _case("PL tensorboard", "PL", "tensorboard", against=_NOTHING, quick=True),
    _case("PL csv", "PL", "csv", against=_NOTHING, once=True),
    _case("PL wandb", "PL", "wandb", against=_NOTHING, once=True),
]


def no_op_logger(log: Log = lambda _, __: None) -> Any:
    """Return a logger that does nothing, or nothing but that."""
    from lightning.pytorch.loggers import Logger

    class NoOpLogger(Logger):
        name, version = "nothing", 0

        def log_metrics(self, metrics: Any, step: int | None = None) -> None:
            log(metrics, step or 0)

        def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
            pass

    return NoOpLogger()


def fit(logger: Any, clock: StepClock) -> None:
    """Train until the clock is through; it says when the Trainer has the logger."""
    import torch
    from lightning.pytorch import Callback, LightningModule, Trainer
    from torch.utils.data import DataLoader, IterableDataset

    torch.set_num_threads(1)

    class Endless(IterableDataset[torch.Tensor]):
        def __iter__(self) -> Iterator[torch.Tensor]:
            while True:
                yield torch.ones(16)

    class Model(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(16, 1)

        def training_step(self, batch: torch.Tensor, _: int) -> torch.Tensor:
            loss = self.layer(batch).square().mean()
            for index in range(METRICS):
                self.log(f"train/metric_{index}", loss)
            return loss

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), 1e-3)

    class Switch(Callback):
        def on_train_batch_start(self, trainer: Trainer, *_: Any) -> None:
            trainer.loggers = [logger] if clock.tick() else []
            if clock.over:
                trainer.should_stop = True

    off = dict.fromkeys(("enable_progress_bar", "enable_checkpointing", "enable_model_summary"), False)
    trainer = Trainer(
        logger=logger, callbacks=[Switch()], max_epochs=1, log_every_n_steps=1, accelerator="cpu", devices=1, **off
    )
    trainer.fit(Model(), DataLoader(Endless(), batch_size=8))


def run(case: Case, folder: Path, short: bool) -> Measured:
    """Fit, then have everything stored and count it."""
    client = open_client(case, folder) if case.system else Client(lambda _, __: None, lambda: None)
    clock = StepClock(*((1, 30) if short else (16, 600)), lambda: client.drained(clock.logged))
    fit(client.logger or no_op_logger(client.log), clock)
    client.finish()
    if case.system in ("", "floor"):
        return Measured(dict(clock.values()))
    return Measured(dict(clock.values()), METRICS * clock.logged, *count(case.backend, folder))
