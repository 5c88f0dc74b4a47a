"""The processes of a training: Fabric for one, or for those that torchrun started, and their tensors joined."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lightning.fabric import Fabric
    from torch import Tensor


def launched_processes() -> int:
    """Return how many processes `torchrun` started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "TORCHELASTIC_RUN_ID" in os.environ else 1


def launch(accelerator: str, precision: Any, world_size: int) -> Fabric:
    """Return a launched Fabric: one process, or the group that `torchrun` describes."""
    from lightning.fabric import Fabric

    local = int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if world_size > 1 else 1
    fabric = Fabric(accelerator=accelerator, devices=local, num_nodes=world_size // local, precision=precision)
    fabric.launch()
    return fabric


def join(gathered: Tensor, *, interleave: bool) -> Tensor:
    """Join (world, n, …) to (world · n, …), rank by rank, or sample by sample as a distributed sampler dealt them."""
    if gathered.ndim < 2:  # noqa: PLR2004
        return gathered
    return (gathered.transpose(0, 1) if interleave else gathered).flatten(0, 1)
