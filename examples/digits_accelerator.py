"""A plain loop on handwritten digits: accumulation, validation, samples, histograms of gradients, a checkpoint.

python examples/digits_accelerator.py --dir runs tensorboard mlflow
"""

import argparse

import torch
from torch import nn
from torch.nn import functional

from accel_track import Accelerator
from accel_track.demo import loaders


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("log_with", nargs="*", default=["tensorboard"], help="names of backends, or 'all'")
    parser.add_argument("--dir", default="runs", help="where to put logs and checkpoints")
    parser.add_argument("--epochs", type=int, default=5)
    arguments = parser.parse_args()

    config = {"hidden": 64, "optimizer": {"kind": "adam", "lr": 0.003}, "epochs": arguments.epochs}
    accelerator = Accelerator(log_with=arguments.log_with, project_dir=arguments.dir, gradient_accumulation_steps=2)
    accelerator.init_trackers("digits", config=config)

    model = nn.Sequential(nn.Flatten(), nn.Linear(64, config["hidden"]), nn.ReLU(), nn.Linear(config["hidden"], 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=config["optimizer"]["lr"])
    training, validation, _ = loaders()
    model, optimizer, training, validation = accelerator.prepare(model, optimizer, training, validation)

    accelerator.watch(model, "all", every=40)  # histograms of gradients and parameters
    step = 0
    for epoch in range(arguments.epochs):
        model.train()
        for images, digits in training:
            with accelerator.accumulate(model):
                loss = functional.cross_entropy(model(images), digits)
                accelerator.backward(loss)
                optimizer.step()
                optimizer.zero_grad()
            accelerator.log({"train": {"loss": loss}, "epoch": epoch}, step=step)
            step += 1

        model.eval()
        targets, predictions = [], []
        for images, digits in validation:
            with torch.no_grad():
                predictions.append(accelerator.gather_for_metrics(model(images).argmax(dim=1)))
            targets.append(accelerator.gather_for_metrics(digits))
        known, guessed = torch.cat(targets), torch.cat(predictions)
        accuracy = (known == guessed).float().mean()
        accelerator.log({"val": {"accuracy": accuracy}}, step=step)
        accelerator.log_confusion_matrix("val/confusion", known, guessed, step)
        captions = [f"{known[place]} → {guessed[place]}" for place in range(-4, 0)]
        accelerator.log_images({"val/samples": images[-4:]}, step, captions=captions)
        accelerator.print(f"epoch {epoch}: validation accuracy {accuracy:.3f}")

    accelerator.save_state(f"{arguments.dir}/checkpoint")
    accelerator.end_training()
    accelerator.print(f"look at it: accel-track ls {arguments.dir}")


if __name__ == "__main__":
    main()
