"""A script for Hugging Face accelerate: one changed line, and its trackers have a journal, delivery and `sync`.

    python examples/accelerate_script.py --dir runs tensorboard mlflow

`accelerate launch` starts it as well. Everything but the marked line is accelerate's own.
"""

import argparse

import torch
from accelerate import Accelerator

from accel_track.bridges import as_accelerate_tracker


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("trackers", nargs="*", default=["tensorboard"], help="names of backends")
    parser.add_argument("--dir", default="runs", help="where to put everything")
    parser.add_argument("--steps", type=int, default=30)
    arguments = parser.parse_args()

    tracker = as_accelerate_tracker(arguments.trackers, project_dir=arguments.dir)
    accelerator = Accelerator(cpu=True, log_with=[tracker])  # before: log_with=["tensorboard", "mlflow"]
    accelerator.init_trackers("regression", config={"lr": 0.1, "steps": arguments.steps})

    torch.manual_seed(0)
    inputs = torch.randn(256, 4)
    data = torch.utils.data.TensorDataset(inputs, inputs.sum(1, keepdim=True))
    loader = torch.utils.data.DataLoader(data, batch_size=32, shuffle=True)
    model = torch.nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model, optimizer, loader = accelerator.prepare(model, optimizer, loader)

    step = 0
    while step < arguments.steps:
        for batch, targets in loader:
            loss = torch.nn.functional.mse_loss(model(batch), targets)
            accelerator.backward(loss)
            optimizer.step()
            optimizer.zero_grad()
            accelerator.log({"train/loss": loss.item()}, step=step)
            step += 1
            if step == arguments.steps:
                break
    accelerator.end_training()
    accelerator.print(f"loss after {step} steps: {loss.item():.4f}")
    accelerator.print(f"look at it: accel-track ls {arguments.dir}")


if __name__ == "__main__":
    main()
