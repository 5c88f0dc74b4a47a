"""Run by test_cli.py: Lightning's command line for a tiny module."""

import os
import sys
from typing import Any

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from lightning.pytorch import LightningDataModule
from lightning.pytorch.cli import LightningCLI
from torch.utils.data import DataLoader

from tests.lightning.models import Tiny, batches


class Data(LightningDataModule):
    def train_dataloader(self) -> DataLoader[Any]:
        return batches()

    val_dataloader = test_dataloader = train_dataloader


if __name__ == "__main__":
    LightningCLI(Tiny, Data)
