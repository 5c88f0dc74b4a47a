"""Run by test_torchrun.py in two processes: what each rank sees, as one JSON file per rank."""

import json
import sys
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from accel_track import Accelerator

folder = sys.argv[1]
accelerator = Accelerator(
    log_with=["tensorboard", "mlflow"], project_dir=folder, gradient_accumulation_steps=2, cpu=True
)
accelerator.init_trackers("project", config={"lr": 0.1})

torch.manual_seed(0)
model = nn.Linear(1, 1)
samples = torch.arange(7.0)[:, None]
model, optimizer, loader = accelerator.prepare(
    model, torch.optim.SGD(model.parameters(), lr=0.01), DataLoader(TensorDataset(samples), batch_size=2)
)
seen, with_padding = [], []
for step, (batch,) in enumerate(loader):
    with accelerator.accumulate(model):
        accelerator.backward(model(batch).square().mean())
        optimizer.step()
        optimizer.zero_grad()
    with_padding += accelerator.gather(batch).flatten().tolist()
    seen += accelerator.gather_for_metrics({"batch": batch})["batch"].flatten().tolist()
    accelerator.log({"loss": 1.0 / (step + 1)}, step=step)

rank = torch.tensor(float(accelerator.process_index))
accelerator.get_tracker("tensorboard").log_images({"picture": torch.rand(3, 4, 4)}, step=0)
with accelerator.on_main_process:
    accelerator.get_tracker("tensorboard", unwrap=True).add_scalar("native", 1.0, 0)
accelerator.save_state(f"{folder}/checkpoint")
accelerator.load_state(f"{folder}/checkpoint")
result = {
    "rank": accelerator.process_index,
    "world": accelerator.num_processes,
    "main": accelerator.is_main_process,
    "trackers": len(accelerator.trackers),
    "seen": seen,
    "with_padding": sorted(with_padding),
    "sum": accelerator.reduce(rank).item(),
    "mean": accelerator.reduce(rank, "mean").item(),
    "unchanged": rank.item(),
    "ranks": accelerator.gather(rank).tolist(),
    "weight": accelerator.unwrap_model(model).weight.item(),
}
accelerator.end_training()
accelerator.wait_for_everyone()
Path(folder, f"result_{result['rank']}.json").write_text(json.dumps(result))
