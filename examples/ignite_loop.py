"""An Ignite engine with a run: values of iterations and epochs, the best checkpoint, and how the training ended.

python examples/ignite_loop.py --dir runs tensorboard mlflow
"""

import argparse
from pathlib import Path

import torch
from ignite.engine import Engine, Events, create_supervised_evaluator, create_supervised_trainer
from ignite.handlers import Checkpoint, DiskSaver, global_step_from_engine
from ignite.metrics import MeanSquaredError

import accel_track


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("trackers", nargs="*", default=["tensorboard"])
    parser.add_argument("--dir", default="runs")
    parser.add_argument("--epochs", type=int, default=3)
    arguments = parser.parse_args()

    torch.manual_seed(0)
    inputs = torch.randn(64, 4)
    data = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(inputs, inputs.sum(1, keepdim=True)), batch_size=16
    )
    model = torch.nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    trainer = create_supervised_trainer(model, optimizer, torch.nn.functional.mse_loss)
    evaluator = create_supervised_evaluator(model, {"mse": MeanSquaredError()})

    with accel_track.init("ignite", arguments.trackers, project_dir=arguments.dir, config={"lr": 0.05}) as run:

        @trainer.on(Events.ITERATION_COMPLETED)
        def log_loss(engine: Engine) -> None:
            run.log({"train/loss": engine.state.output}, engine.state.iteration)

        @trainer.on(Events.EPOCH_COMPLETED)
        def validate(engine: Engine) -> None:
            evaluator.run(data)
            run.log({"val/mse": evaluator.state.metrics["mse"]}, engine.state.iteration)

        best = Checkpoint(
            {"model": model},
            DiskSaver(str(Path(arguments.dir, "checkpoints")), require_empty=False),
            score_function=lambda engine: -engine.state.metrics["mse"],
            global_step_transform=global_step_from_engine(trainer),
        )
        evaluator.add_event_handler(Events.COMPLETED, best)

        @evaluator.on(Events.COMPLETED)
        def upload(engine: Engine) -> None:
            if best.last_checkpoint:
                score = engine.state.metrics["mse"]
                run.log_checkpoint("best", best.last_checkpoint, trainer.state.iteration, {"score": score})

        trainer.run(data, max_epochs=arguments.epochs)
    print(f"val/mse: {evaluator.state.metrics['mse']:.4f}")
    print(f"look at it: accel-track ls {arguments.dir}")


if __name__ == "__main__":
    main()
