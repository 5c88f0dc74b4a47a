"""Lightning's Trainer with several backends: fit and test in one run, samples, gradients, the best checkpoint.

python examples/digits_lightning.py --dir runs
python examples/digits_lightning.py --dir runs tensorboard mlflow wandb aim
"""

import argparse

from lightning.pytorch import Trainer

from accel_track import AccelTrackCallback, AccelTrackLogger
from accel_track.demo import Digits, loaders


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("log_with", nargs="*", default=["tensorboard", "mlflow"], help="names of backends, or 'all'")
    parser.add_argument("--dir", default="runs", help="where to put logs and checkpoints")
    parser.add_argument("--epochs", type=int, default=5)
    arguments = parser.parse_args()

    training, validation, test = loaders()
    logger = AccelTrackLogger(arguments.log_with, name="digits", save_dir=arguments.dir, config={"batch_size": 64})
    callback = AccelTrackCallback(
        log_samples=16,  # some inputs and predictions, and a confusion matrix
        log_checkpoints="best",  # to the backends that keep some, such as MLflow
    )
    trainer = Trainer(max_epochs=arguments.epochs, logger=logger, callbacks=callback, log_every_n_steps=5)
    model = Digits(hidden=64)
    logger.watch(model, "all", every=40)  # histograms of gradients and parameters
    trainer.fit(model, training, validation)
    trainer.test(model, test)  # continues the same run
    logger.finish()
    print(f"logged to {', '.join(arguments.log_with)}; checkpoints are in {trainer.checkpoint_callback.dirpath}")
    print(f"look at it: accel-track ls {arguments.dir}")


if __name__ == "__main__":
    main()
