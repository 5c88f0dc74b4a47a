"""A training in the style of diffusers' scripts, written for Hugging Face Accelerate: a denoiser with an average."""

import argparse
import json
import logging
import math
import os
import shutil

import accelerate
import torch
from accelerate import Accelerator
from accelerate.logging import get_logger
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedType, ProjectConfiguration, set_seed
from torch import nn
from torch.utils.data import DataLoader, Dataset

logger = get_logger(__name__, log_level="INFO")


class Denoiser(nn.Module):
    """A tiny model with diffusers' `save_pretrained` and `from_pretrained`."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.config = {"width": width}
        self.layers = nn.Sequential(nn.Linear(5, width), nn.SiLU(), nn.Linear(width, 4))

    def forward(self, noisy: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        return self.layers(torch.cat([noisy, time[:, None].float() / 10], dim=1))

    def save_pretrained(self, folder: str) -> None:
        os.makedirs(folder, exist_ok=True)
        torch.save({"config": self.config, "weights": self.state_dict()}, os.path.join(folder, "denoiser.bin"))

    @classmethod
    def from_pretrained(cls, folder: str) -> "Denoiser":
        stored = torch.load(os.path.join(folder, "denoiser.bin"))
        model = cls(**stored["config"])
        model.load_state_dict(stored["weights"])
        return model


class Average:
    """Weights averaged over steps."""

    def __init__(self, parameters: list[nn.Parameter]) -> None:
        self.shadow = [one.detach().clone() for one in parameters]

    def step(self, parameters: list[nn.Parameter]) -> None:
        for mean, one in zip(self.shadow, parameters, strict=True):
            mean.mul_(0.9).add_(one.detach(), alpha=0.1)


class Pictures(Dataset):
    def __init__(self, count: int) -> None:
        generator = torch.Generator().manual_seed(1)
        self.pixels = torch.randn(count, 4, generator=generator)
        self.noise = torch.randn(count, 4, generator=generator)

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> dict:
        return {"pixel_values": self.pixels[index], "noise": self.noise[index], "time": index % 10}


def collate(samples: list[dict]) -> dict:
    return {
        "pixel_values": torch.stack([one["pixel_values"] for one in samples]).contiguous().float(),
        "noise": torch.stack([one["noise"] for one in samples]),
        "time": torch.tensor([one["time"] for one in samples]),
    }


def zero_plugin():
    return AcceleratorState().deepspeed_plugin if accelerate.state.is_initialized() else None


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("output_dir")
    parser.add_argument("--batch_size", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--shuffle", action="store_true")
    parser.add_argument("--resume_from_checkpoint", default=None)
    parser.add_argument("--checkpoints_total_limit", type=int, default=1)
    args = parser.parse_args()

    project = ProjectConfiguration(project_dir=args.output_dir, logging_dir=os.path.join(args.output_dir, "logs"))
    accelerator = Accelerator(
        gradient_accumulation_steps=2, mixed_precision="no", log_with="tensorboard", project_config=project
    )
    if torch.backends.mps.is_available():
        accelerator.native_amp = False
    logging.basicConfig(format="%(levelname)s %(name)s %(message)s", level=logging.INFO, force=True)
    logger.info(accelerator.state, main_process_only=False)
    set_seed(3)
    if accelerator.is_main_process:
        os.makedirs(args.output_dir, exist_ok=True)
    assert zero_plugin() is None
    assert accelerator.distributed_type in (DistributedType.NO, DistributedType.MULTI_CPU)

    denoiser = Denoiser()
    average = Average(list(denoiser.parameters()))
    calls = []

    def unwrap_model(model):
        return accelerator.unwrap_model(model)

    def save_model_hook(models, weights, output_dir):
        calls.append(("save", len(models), len(weights), [sorted(one) for one in weights]))
        if accelerator.is_main_process:
            torch.save(average.shadow, os.path.join(output_dir, "average.bin"))
            for model in models:
                assert isinstance(unwrap_model(model), type(unwrap_model(denoiser)))
                unwrap_model(model).save_pretrained(os.path.join(output_dir, "unet"))
                weights.pop()

    def load_model_hook(models, input_dir):
        calls.append(("load", len(models), os.path.basename(input_dir)))
        average.shadow = torch.load(os.path.join(input_dir, "average.bin"))
        for _ in range(len(models)):
            model = models.pop()
            loaded = Denoiser.from_pretrained(os.path.join(input_dir, "unet"))
            unwrap_model(model).load_state_dict(loaded.state_dict())

    accelerator.register_save_state_pre_hook(save_model_hook)
    accelerator.register_load_state_pre_hook(load_model_hook)

    optimizer = torch.optim.AdamW(denoiser.parameters(), lr=1e-2)
    with accelerator.main_process_first():
        pictures = Pictures(48)
    loader = DataLoader(pictures, shuffle=args.shuffle, collate_fn=collate, batch_size=args.batch_size)
    updates_per_epoch = math.ceil(math.ceil(len(loader) / accelerator.num_processes) / 2)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: max(0.1, 1 - step / (args.epochs * updates_per_epoch * accelerator.num_processes))
    )
    denoiser, optimizer, loader, schedule = accelerator.prepare(denoiser, optimizer, loader, schedule)
    updates_per_epoch = math.ceil(len(loader) / accelerator.gradient_accumulation_steps)
    if accelerator.is_main_process:
        accelerator.init_trackers("text2image", config=dict(vars(args)))

    logger.info("***** training *****")
    logger.info(f"  {len(pictures)} pictures, {len(loader)} batches")
    global_step = first_epoch = 0
    if args.resume_from_checkpoint:
        folders = [one for one in os.listdir(args.output_dir) if one.startswith("checkpoint")]
        path = max(folders, key=lambda one: int(one.split("-")[1]))
        accelerator.print(f"Resuming from checkpoint {path}")
        accelerator.load_state(os.path.join(args.output_dir, path))
        global_step = int(path.split("-")[1])
        first_epoch = global_step // updates_per_epoch

    losses = []
    for _epoch in range(first_epoch, args.epochs):
        train_loss = 0.0
        for batch in loader:
            with accelerator.accumulate(denoiser):
                noisy = batch["pixel_values"] + batch["noise"] * batch["time"][:, None] / 10
                loss = nn.functional.mse_loss(
                    denoiser(noisy, batch["time"]).float(), batch["noise"].float(), reduction="mean"
                )
                avg_loss = accelerator.gather(loss.repeat(args.batch_size)).mean()
                train_loss += avg_loss.item() / accelerator.gradient_accumulation_steps
                accelerator.backward(loss)
                if accelerator.sync_gradients:
                    accelerator.clip_grad_norm_(denoiser.parameters(), 0.5)
                optimizer.step()
                schedule.step()
                optimizer.zero_grad()
            if accelerator.sync_gradients:
                average.step(list(denoiser.parameters()))
                global_step += 1
                accelerator.log({"train_loss": train_loss}, step=global_step)
                losses.append(train_loss)
                train_loss = 0.0
                if global_step % 4 == 0 and accelerator.is_main_process:
                    checkpoints = sorted(
                        (one for one in os.listdir(args.output_dir) if one.startswith("checkpoint")),
                        key=lambda one: int(one.split("-")[1]),
                    )
                    for old in checkpoints[: len(checkpoints) - args.checkpoints_total_limit + 1]:
                        shutil.rmtree(os.path.join(args.output_dir, old))
                    save_path = os.path.join(args.output_dir, f"checkpoint-{global_step}")
                    accelerator.save_state(save_path)
                    logger.info(f"Saved state to {os.path.basename(save_path)}")
        if accelerator.is_main_process:
            for tracker in accelerator.trackers:
                if tracker.name == "tensorboard":
                    tracker.writer.add_text("validation", "a picture", global_step)

    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        unwrap_model(denoiser).save_pretrained(os.path.join(args.output_dir, "final"))
    accelerator.end_training()
    result = {
        "losses": losses,
        "lr": schedule.get_last_lr(),
        "calls": calls,
        "steps": global_step,
        "weights": [one.tolist() for one in unwrap_model(denoiser).state_dict().values()],
        "average": [one.tolist() for one in average.shadow],
        "checkpoints": sorted(one for one in os.listdir(args.output_dir) if one.startswith("checkpoint")),
    }
    with open(os.path.join(args.output_dir, f"result_{accelerator.process_index}.json"), "w") as file:
        json.dump(result, file)


if __name__ == "__main__":
    main()
