"""A tiny module for Trainer tests: 8 training batches give steps 0 to 7."""

from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch.utils.data import DataLoader, TensorDataset

BATCHES = 8


def batches() -> DataLoader[Any]:
    return DataLoader(TensorDataset(torch.linspace(0, 1, BATCHES)[:, None]), batch_size=1)


class Tiny(LightningModule):
    """Logs `loss` per step, `late` at the epoch's end, `val_loss` and `test_loss` per epoch."""

    def __init__(self, lr: float = 0.25, layers: tuple[int, ...] = (1, 2), fail_at: int | None = None) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.fail_at = fail_at
        self.layer = torch.nn.Linear(1, 1)

    def _loss(self, batch: list[torch.Tensor]) -> torch.Tensor:
        return self.layer(batch[0]).square().mean()

    def training_step(self, batch: list[torch.Tensor], batch_idx: int) -> torch.Tensor:
        if batch_idx == self.fail_at:
            raise ValueError("planned failure")
        loss = self._loss(batch)
        self.log("loss", loss)
        return loss

    def on_train_epoch_end(self) -> None:
        self.log("late", 3.0)

    def validation_step(self, batch: list[torch.Tensor]) -> None:
        self.log("val_loss", self._loss(batch))

    def test_step(self, batch: list[torch.Tensor]) -> None:
        self.log("test_loss", self._loss(batch))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.01)


def trainer(logger: Any, **arguments: Any) -> Trainer:
    defaults: dict[str, Any] = {
        "max_epochs": 1,
        "log_every_n_steps": 2,
        "accelerator": "cpu",
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    return Trainer(logger=logger, **{**defaults, **arguments})
