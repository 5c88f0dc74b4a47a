"""A training in the style of accelerate's `nlp_example.py`: a classifier, evaluated after each epoch."""

import json
import os
import sys
from datetime import timedelta

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs, DistributedType, InitProcessGroupKwargs
from accelerate.logging import get_logger
from accelerate.utils import GradScalerKwargs, is_tensorboard_available, set_seed, tqdm
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

MAX_BATCH_SIZE = 8
logger = get_logger(__name__)


def get_dataloaders(accelerator: Accelerator, batch_size: int = 8) -> tuple[DataLoader, DataLoader]:
    with accelerator.main_process_first():
        generator = torch.Generator().manual_seed(0)
        inputs = torch.randn(64, 6, generator=generator)
        labels = (inputs.sum(1) > 0).long()
    train = TensorDataset(inputs[:48], labels[:48])
    evaluation = TensorDataset(inputs[:45], labels[:45])
    return DataLoader(train, batch_size=batch_size, shuffle=False, drop_last=True), DataLoader(evaluation, batch_size=8)


class Classifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(6, 8), nn.Tanh())
        self.head = nn.Linear(8, 2)
        self.spare = nn.Linear(8, 2)

    def forward(self, inputs: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logits = self.head(self.body(inputs))
        return nn.functional.cross_entropy(logits, labels), logits


def training_function(config: dict, folder: str) -> None:
    handlers = [
        DistributedDataParallelKwargs(find_unused_parameters=True),
        GradScalerKwargs(init_scale=4.0),
    ]
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        handlers.append(InitProcessGroupKwargs(backend="gloo", timeout=timedelta(seconds=77)))
    accelerator = Accelerator(kwargs_handlers=handlers, mixed_precision=config["mixed_precision"])
    if accelerator.distributed_type == DistributedType.XLA:
        raise SystemExit(3)
    batch_size, accumulated = config["batch_size"], 1
    if batch_size > MAX_BATCH_SIZE:
        accumulated, batch_size = batch_size // MAX_BATCH_SIZE, MAX_BATCH_SIZE
    set_seed(config["seed"])
    train_dataloader, eval_dataloader = get_dataloaders(accelerator, batch_size)
    model = Classifier()
    model = model.to(accelerator.device)
    optimizer = torch.optim.AdamW(params=model.parameters(), lr=config["lr"])
    total = len(train_dataloader) * config["num_epochs"] // accumulated
    lr_scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=config["lr"], total_steps=total)
    model, optimizer, train_dataloader, eval_dataloader, lr_scheduler = accelerator.prepare(
        model, optimizer, train_dataloader, eval_dataloader, lr_scheduler
    )
    result: dict = {"losses": [], "accuracy": [], "seen": [], "lr": []}
    for epoch in range(config["num_epochs"]):
        model.train()
        for step, batch in enumerate(tqdm(train_dataloader, disable=True)):
            loss, _ = model(*batch)
            loss = loss / accumulated
            accelerator.backward(loss)
            if step % accumulated == 0:
                optimizer.step()
                lr_scheduler.step()
                optimizer.zero_grad()
            result["losses"].append(accelerator.reduce(loss.detach(), "mean").item())
            result["lr"].append(lr_scheduler.get_last_lr()[0])
        model.eval()
        right = seen = 0
        for inputs, labels in eval_dataloader:
            with torch.no_grad():
                _, logits = model(inputs, labels)
            predictions, references = accelerator.gather_for_metrics((logits.argmax(dim=-1), labels))
            right += int((predictions == references).sum())
            seen += len(references)
        result["accuracy"].append(right / seen)
        result["seen"].append(seen)
        accelerator.print(f"epoch {epoch}:", seen)
    logger.warning("all done: %s", "by the main process")
    logger.warning("all done, each", main_process_only=False, in_order=True)
    state = accelerator.get_state_dict(model)
    accelerator.save_model(model, os.path.join(folder, "model"))
    accelerator.save({"epoch": 2, "weights": state}, os.path.join(folder, "last.bin"))
    accelerator.wait_for_everyone()
    result |= {
        "weights": {name: value.tolist() for name, value in state.items()},
        "files": sorted(os.listdir(os.path.join(folder, "model"))),
        "last": sorted(torch.load(os.path.join(folder, "last.bin"))),
        "tensorboard": is_tensorboard_available(),
        "skipped": accelerator.optimizer_step_was_skipped,
        "unwrapped": type(accelerator.unwrap_model(model, keep_fp32_wrapper=False)).__name__,
        "type": accelerator.distributed_type.value,
    }
    if accelerator.num_processes > 1:
        wrapped = getattr(model, "_forward_module", model)
        result["unused"] = wrapped.find_unused_parameters
        group = torch.distributed.distributed_c10d._get_default_group()
        result["timeout"] = group._get_backend(torch.device("cpu")).options._timeout.total_seconds()
    with open(os.path.join(folder, f"result_{accelerator.process_index}.json"), "w") as file:
        json.dump(result, file)
    accelerator.end_training()


if __name__ == "__main__":
    training_function(
        {"lr": 2e-2, "num_epochs": 2, "seed": 42, "batch_size": 8, "mixed_precision": "no"}, folder=sys.argv[1]
    )
