"""A plain loop in several processes: each calls the same lines, and the first one logs.

torchrun --nproc_per_node=2 examples/torchrun_plain.py --dir runs tensorboard
"""

import argparse
import os

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

import accel_track


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("trackers", nargs="*", default=["tensorboard"])
    parser.add_argument("--dir", default="runs")
    parser.add_argument("--steps", type=int, default=20)
    arguments = parser.parse_args()

    dist.init_process_group("gloo")
    rank, world = dist.get_rank(), dist.get_world_size()
    torch.manual_seed(rank)
    model = DistributedDataParallel(torch.nn.Linear(4, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)

    # On other processes than the first, `run` accepts every call and does nothing. A job that torchrun has started
    # again continues its run.
    config = {"lr": 0.05, "world_size": world}
    with accel_track.init("torchrun", arguments.trackers, project_dir=arguments.dir, config=config) as run:
        for step in range(arguments.steps):
            inputs = torch.randn(16, 4)
            loss = torch.nn.functional.mse_loss(model(inputs), inputs.sum(1, keepdim=True))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            dist.all_reduce(total := loss.detach().clone())
            run.log({"train/loss": total / world, "lr": optimizer.param_groups[0]["lr"]}, step)
    if rank == 0:
        print(f"process {os.environ['RANK']} of {world} has logged {arguments.steps} steps")
        print(f"look at it: accel-track ls {arguments.dir}")
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
