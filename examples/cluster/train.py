"""A training for a cluster without internet: the compute node writes the journal, the login node delivers it.

    sbatch examples/cluster/job.sh    # or: bash examples/cluster/job.sh
    bash examples/cluster/deliver.sh  # on the login node, as often as you like

`job.sh` sets `ACCEL_TRACK_DELIVERY=none`, so no backend is needed where the training runs. A job that was preempted
goes on from its state, in the same run.
"""

import argparse
import os

import torch

from accel_track import Accelerator

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("trackers", nargs="*", default=["tensorboard"], help="names of backends")
parser.add_argument("--dir", default="runs", help="where to put everything; both nodes see it")
parser.add_argument("--steps", type=int, default=100)
parser.add_argument("--stop-at", type=int, default=-1, help="step at which to play a preemption")
arguments = parser.parse_args()

accelerator = Accelerator(log_with=arguments.trackers, project_dir=arguments.dir)
torch.manual_seed(0)
model = torch.nn.Linear(4, 1)
model, optimizer = accelerator.prepare(model, torch.optim.SGD(model.parameters(), lr=0.05))

# The state says which run it belongs to, so it is loaded before the trackers start.
state = os.path.join(arguments.dir, "state")
begin = 0
if os.path.exists(state):
    accelerator.load_state(state)
    begin = torch.load(f"{state}/step.pt")
accelerator.init_trackers("cluster", config={"lr": 0.05, "steps": arguments.steps})

for step in range(begin, arguments.steps):
    if step == arguments.stop_at:
        raise SystemExit(f"preempted at step {step}")
    inputs = torch.randn(32, 4)
    loss = torch.nn.functional.mse_loss(model(inputs), inputs.sum(1, keepdim=True))
    accelerator.backward(loss)
    optimizer.step()
    optimizer.zero_grad()
    accelerator.log({"train/loss": loss}, step=step)
    if (step + 1) % 20 == 0:
        accelerator.save_state(state)
        torch.save(step + 1, f"{state}/step.pt")

accelerator.end_training()
accelerator.print(f"trained from step {begin} to {arguments.steps}")
accelerator.print(f"look at it: accel-track ls {arguments.dir}")
