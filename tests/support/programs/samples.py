"""Fits a classifier with DDP on two processes, as torchrun starts them or as Lightning spawns them; samples and a watch."""

import sys
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from accel_track import AccelTrackCallback


class Classifier(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1)

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        return self.layer(torch.full((1, 1), float(self.global_rank + 1))).sum()  # gradients of 1 and 2

    def validation_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        return torch.eye(3)[batch[1].clamp(max=1 + self.global_rank)]  # rank 0 takes class 2 for 1

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.0)


def data() -> DataLoader[Any]:
    return DataLoader(TensorDataset(torch.rand(12, 1, 8, 8), torch.arange(12) % 3), 2)


if __name__ == "__main__":
    callback = AccelTrackCallback("jsonl", log_samples=4, class_names=["a", "b", "c"])
    model = Classifier()
    callback.watch(model, "gradients", 100)
    plain = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
    trainer = Trainer(
        logger=False, callbacks=[callback], strategy=sys.argv[1], devices=2, accelerator="cpu", max_epochs=1, **plain
    )
    trainer.fit(model, data(), data())
    callback.finish()
