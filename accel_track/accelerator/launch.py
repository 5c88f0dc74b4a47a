"""The Fabric of an `Accelerator`: its processes, strategy and precision, as the settings say."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lightning.fabric import Fabric

    from accel_track.accelerator.handlers import Handlers

PRECISIONS: dict[str, Any] = {"no": "32-true", "fp16": "16-mixed", "bf16": "bf16-mixed"}
"""Fabric's precision by `mixed_precision`."""


def launched_processes() -> int:
    """Return the number of processes that `torchrun` started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "TORCHELASTIC_RUN_ID" in os.environ else 1


def told(name: str, default: str) -> str:
    """Return the value of a variable by which `accelerate launch` tells this program a setting, else the default."""
    return os.environ.get(f"ACCELERATE_{name}") or default


def launch(precision: str, world_size: int, handlers: Handlers, *, cpu: bool) -> Fabric:
    """Return a launched Fabric: one process, or the group that `torchrun` describes.

    Args:
        precision: "no", "fp16" or "bf16".
        world_size: The number of processes.
        handlers: Arguments of the strategy, the process group and the loss scaler.
        cpu: Whether to use the CPU even if there is a GPU.
    """
    from lightning.fabric import Fabric

    local = int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if world_size > 1 else 1
    fabric = Fabric(
        accelerator="cpu" if cpu else "auto",
        devices=local,
        num_nodes=world_size // local,
        strategy=_strategy(handlers) if world_size > 1 else "auto",
        **_precision(precision, handlers, cpu=cpu),
    )
    fabric.launch()
    return fabric


def _strategy(handlers: Handlers) -> Any:
    """Return Fabric's strategy for several processes, with the arguments of the handlers."""
    if handlers.ddp is None and handlers.group is None:
        return "auto"
    from lightning.fabric.strategies.ddp import DDPStrategy

    more: dict[str, Any] = {} if handlers.ddp is None else handlers.ddp.to_kwargs()
    if handlers.group is not None:
        more["process_group_backend"] = handlers.group.backend
        if handlers.group.timeout is not None:
            more["timeout"] = handlers.group.timeout
    return DDPStrategy(**more)


def _precision(precision: str, handlers: Handlers, *, cpu: bool) -> dict[str, Any]:
    """Return Fabric's argument for the precision; a plugin where its loss scaler has arguments."""
    if precision != "fp16" or handlers.scaler is None:
        return {"precision": PRECISIONS[precision]}
    import torch
    from lightning.fabric.plugins.precision import MixedPrecision

    device = "cuda" if torch.cuda.is_available() and not cpu else "cpu"
    scaler = torch.amp.GradScaler(device, **handlers.scaler.to_kwargs())
    return {"plugins": [MixedPrecision("16-mixed", device, scaler)]}
