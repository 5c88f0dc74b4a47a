"""Lightning's command line: logger, callback and backends come from a YAML file, and any of it from an option.

    python examples/lightning_cli.py fit --config examples/lightning_cli.yaml
    python examples/lightning_cli.py fit --config examples/lightning_cli.yaml --model.lr 0.01 \\
        --trainer.logger.init_args.log_with='[tensorboard, mlflow]'

The options, with those that nobody gave, are among the run's hyperparameters, as `options`.
"""

from lightning.pytorch import LightningDataModule
from lightning.pytorch.cli import LightningCLI
from torch.utils.data import DataLoader

from accel_track.demo import Digits, loaders


class DigitsData(LightningDataModule):
    """The handwritten digits that scikit-learn ships."""

    def setup(self, stage: str) -> None:
        self.training, self.validation, self.test = loaders()

    def train_dataloader(self) -> DataLoader:
        return self.training

    def val_dataloader(self) -> DataLoader:
        return self.validation

    def test_dataloader(self) -> DataLoader:
        return self.test


def main() -> None:
    cli = LightningCLI(Digits, DigitsData)
    cli.trainer.logger.finish()
    print(f"look at it: accel-track ls {cli.trainer.logger.save_dir}")


if __name__ == "__main__":
    main()
