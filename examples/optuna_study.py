"""An Optuna study as a run, and each trial as a child of it: nested in MLflow, a group in wandb.

python examples/optuna_study.py --dir runs mlflow
"""

import argparse

import optuna
import torch

import accel_track
from accel_track.run import Run


def train(trial: optuna.Trial, run: Run) -> tuple[float, bool]:
    """Train a model; return its last loss, and whether Optuna stopped the trial early."""
    torch.manual_seed(0)
    inputs = torch.randn(64, 4)
    targets = inputs.sum(1, keepdim=True)
    model = torch.nn.Linear(4, 1)
    lr = trial.suggest_float("lr", 1e-3, 0.3, log=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=trial.suggest_float("momentum", 0.0, 0.9))
    run.store_configuration(trial.params)
    loss = torch.tensor(float("inf"))
    for step in range(10):
        loss = torch.nn.functional.mse_loss(model(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        run.log({"loss": loss}, step)
        trial.report(loss.item(), step)
        if trial.should_prune():
            run.log({"pruned_at": step}, step)
            return loss.item(), True
    return loss.item(), False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("trackers", nargs="*", default=["mlflow"])
    parser.add_argument("--dir", default="runs")
    parser.add_argument("--trials", type=int, default=4)
    arguments = parser.parse_args()

    study = optuna.create_study(
        sampler=optuna.samplers.RandomSampler(seed=0), pruner=optuna.pruners.MedianPruner(n_startup_trials=2)
    )
    with accel_track.init("optuna", arguments.trackers, project_dir=arguments.dir, run_name="study") as parent:

        def objective(trial: optuna.Trial) -> float:
            with parent.child(f"trial-{trial.number}") as run:
                loss, pruned = train(trial, run)
            if pruned:  # behind the block, so that the child has finished and not failed
                raise optuna.TrialPruned
            parent.log({"best": min(loss, study.best_value if trial.number else loss)}, trial.number)
            return loss

        study.optimize(objective, n_trials=arguments.trials)
        parent.store_configuration({"best": study.best_params})
    print(f"best of {len(study.trials)} trials: {study.best_value:.4f} with lr={study.best_params['lr']:.4f}")
    print(f"look at it: accel-track ls {arguments.dir}")


if __name__ == "__main__":
    main()
