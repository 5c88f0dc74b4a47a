"""Cross-validation: one run, a child of it for each fold, and mean ± standard deviation at the end.

python examples/k_fold.py --dir runs tensorboard
"""

import argparse

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import KFold

import accel_track
from accel_track.run import Run


def train(run: Run, inputs: torch.Tensor, targets: torch.Tensor, epochs: int, lr: float) -> torch.nn.Module:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    step = 0
    for epoch in range(epochs):
        for places in torch.randperm(len(inputs)).split(64):
            loss = torch.nn.functional.cross_entropy(model(inputs[places]), targets[places])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            run.log({"train/loss": loss, "epoch": epoch}, step)
            step += 1
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("trackers", nargs="*", default=["tensorboard"], help="names of backends")
    parser.add_argument("--dir", default="runs", help="where to put everything")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=3)
    arguments = parser.parse_args()

    pixels, digits = load_digits(return_X_y=True)
    inputs, targets = torch.tensor(pixels / 16, dtype=torch.float32), torch.tensor(digits)
    config = {"folds": arguments.folds, "epochs": arguments.epochs, "lr": 0.003}

    with accel_track.init(
        "k_fold", arguments.trackers, project_dir=arguments.dir, run_name="digits", config=config
    ) as parent:
        accuracies = []
        folds = KFold(arguments.folds, shuffle=True, random_state=0).split(inputs)
        for fold, (training, validation) in enumerate(folds):
            with parent.child(f"fold-{fold}", {"fold": fold, **config}) as run:  # nested in MLflow, a group in wandb
                model = train(run, inputs[training], targets[training], arguments.epochs, config["lr"])
                predictions = model(inputs[validation]).argmax(1)
                accuracies.append((predictions == targets[validation]).float().mean().item())
                run.log({"val/accuracy": accuracies[-1]})
                run.log_confusion_matrix("val/confusion", targets[validation], predictions)
            parent.log({"val/accuracy": accuracies[-1]}, fold)

        std, mean = torch.std_mean(torch.tensor(accuracies))
        parent.log({"val/accuracy_mean": mean, "val/accuracy_std": std})
        parent.log_table("folds", ["fold", "accuracy"], list(map(list, enumerate(accuracies))))

    print(f"accuracy of {arguments.folds} folds: {mean:.3f} ± {std:.3f}")
    print(f"look at it: accel-track ls {arguments.dir}")


if __name__ == "__main__":
    main()
