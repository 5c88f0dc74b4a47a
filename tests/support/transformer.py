"""A tiny transformer from a config, and its Trainer: 16 random sequences, batches of 4."""

from typing import Any

import torch
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments


def tiny(folder: str, callbacks: list[Any], fail_at: int | None = None, **arguments: Any) -> Trainer:
    """Return a Trainer; with `fail_at`, the step of that number raises."""
    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(vocab_size=16, n_positions=8, n_embd=8, n_layer=2, n_head=2))
    data = [{"input_ids": one, "labels": one} for one in torch.randint(0, 16, (16, 8))]
    defaults = {
        "output_dir": folder,
        "report_to": [],
        "max_steps": 4,
        "logging_steps": 1,
        "per_device_train_batch_size": 4,
        "use_cpu": True,
        "disable_tqdm": True,
        "save_strategy": "steps",
        "save_steps": 100,
    }

    class Failing(Trainer):
        def training_step(self, *args: Any, **kwargs: Any) -> Any:
            if self.state.global_step + 1 == fail_at:
                raise ValueError("planned failure")
            return super().training_step(*args, **kwargs)

    return Failing(
        model=model,
        args=TrainingArguments(**{**defaults, **arguments}),
        train_dataset=data,
        eval_dataset=data[:4],
        callbacks=callbacks,
    )
