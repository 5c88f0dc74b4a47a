"""A training in the style of accelerate's `complete_*_example.py`: everything at once, and a return to a checkpoint."""

import json
import os
import sys

import torch
from accelerate import Accelerator, DataLoaderConfiguration, PartialState
from accelerate.utils import (
    broadcast_object_list,
    find_executable_batch_size,
    gather_object,
    release_memory,
    set_seed,
    synchronize_rng_states,
)
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Early:
    """Counts, and is restored with the rest."""

    def __init__(self) -> None:
        self.count = 0

    def state_dict(self) -> dict:
        return {"count": self.count}

    def load_state_dict(self, state: dict) -> None:
        self.count = state["count"]


def build(accelerator: Accelerator, batch_size: int, shuffle: bool):
    set_seed(5)
    generator = torch.Generator().manual_seed(9)
    inputs = torch.randn(40, 3, generator=generator)
    data = TensorDataset(inputs, inputs.sum(1, keepdim=True), torch.arange(40.0))
    model = nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 3, gamma=0.7)
    loader = DataLoader(data, batch_size=batch_size, shuffle=shuffle)
    return accelerator.prepare(model, optimizer, loader, schedule)


def train(accelerator, model, optimizer, loader, schedule, out) -> None:
    for inputs, targets, numbers in loader:
        with accelerator.accumulate(model):
            loss = nn.functional.mse_loss(model(inputs), targets)
            accelerator.backward(loss)
            if accelerator.sync_gradients:
                accelerator.clip_grad_value_(model.parameters(), 0.5)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
        out["losses"].append(accelerator.reduce(loss.detach(), "mean").item())
        out["order"].append(sorted(accelerator.gather(numbers).tolist()))


def main(folder: str) -> None:
    accelerator = Accelerator(
        gradient_accumulation_steps=2,
        dataloader_config=DataLoaderConfiguration(split_batches=True),
        log_with="tensorboard",
        project_dir=folder,
    )
    shuffle = accelerator.num_processes == 1
    accelerator.init_trackers("complete", {"batch_size": 8})
    out: dict = {"losses": [], "order": [], "lr": []}
    early = Early()
    accelerator.register_for_checkpointing(early)
    model, optimizer, loader, schedule = build(accelerator, 8, shuffle)
    train(accelerator, model, optimizer, loader, schedule, out)
    early.count = 7
    accelerator.log(
        {"loss": out["losses"][-1], "lr": schedule.get_last_lr()[0]}, step=1.0 if "accel_track" in sys.modules else 1
    )
    accelerator.save_state(os.path.join(folder, "step_5"))
    train(accelerator, model, optimizer, loader, schedule, out)
    expected = model.state_dict()[
        "weight" if accelerator.num_processes == 1 else next(iter(model.state_dict()))
    ].clone()
    accelerator.load_state(os.path.join(folder, "step_5"))
    out["restored"] = early.count
    early.count = 0
    rest = accelerator.skip_first_batches(loader, 2)
    out["rest"], before = len(rest), len(out["losses"])
    train(accelerator, model, optimizer, rest, schedule, out)
    out["rest_read"] = len(out["losses"]) - before
    out["lr"] = schedule.get_last_lr()
    out["differs"] = bool((expected != next(iter(model.state_dict().values()))).any())

    with accelerator.no_sync(model):
        accelerator.backward(model(torch.ones(2, 3)).mean() * (1 + accelerator.process_index))
    out["own_gradient"] = accelerator.unwrap_model(model).weight.grad.tolist()
    optimizer.zero_grad()

    if accelerator.is_last_process:
        accelerator.set_trigger()
    out["trigger"] = [accelerator.check_trigger(), accelerator.check_trigger()]
    ragged = torch.full((accelerator.process_index + 1, 2), float(accelerator.process_index))
    for arguments in ({}, {"dim": 0, "pad_index": -1, "pad_first": True}, {"dim": 1}, {"dim": -2, "pad_index": 5}):
        out.setdefault("padded", []).append(accelerator.pad_across_processes(ragged, **arguments).tolist())
    out["objects"] = gather_object([f"rank {accelerator.process_index}"])
    out["sent"] = broadcast_object_list(
        [accelerator.process_index + 3, "a"], from_process=accelerator.num_processes - 1
    )
    shares = []
    for padded in (False, True):
        with accelerator.split_between_processes(["a", "b", "c"], apply_padding=padded) as mine:
            shares.append(list(mine))
        with PartialState().split_between_processes({"x": [1, 2, 3], "y": [4, 5, 6]}, apply_padding=padded) as mine:
            shares.append(mine)
    out["shares"] = shares

    @accelerator.on_last_process
    def last() -> str:
        return "last"

    @accelerator.on_process(process_index=0)
    def first() -> str:
        return "first"

    @accelerator.on_local_main_process
    def local() -> str:
        return "local"

    out["ran"] = [last(), first(), local()]
    synchronize_rng_states(["torch"])
    set_seed(11, device_specific=True)
    out["random"] = torch.rand(2).tolist()

    sizes = []

    @find_executable_batch_size(starting_batch_size=16)
    def fits(batch_size: int) -> int:
        sizes.append(batch_size)
        if batch_size > 12:
            raise RuntimeError("CUDA out of memory.")
        return batch_size

    out["fits"] = [fits(), sizes]
    with accelerator.local_main_process_first():
        pass
    model, optimizer, loader, schedule = accelerator.free_memory(model, optimizer, loader, schedule)
    out["freed"] = [model, optimizer, *release_memory(loader)]
    model, optimizer, loader, schedule = build(accelerator, 4, shuffle)
    train(accelerator, model, optimizer, loader, schedule, out)
    accelerator.wait_for_everyone()
    accelerator.end_training()
    with open(os.path.join(folder, f"result_{accelerator.process_index}.json"), "w") as file:
        json.dump(out, file)


if __name__ == "__main__":
    main(sys.argv[1])
