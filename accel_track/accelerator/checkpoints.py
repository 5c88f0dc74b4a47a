"""The checkpoints of an `Accelerator`: all prepared and registered objects, saved and restored."""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from accel_track.configuration import ProjectConfiguration

if TYPE_CHECKING:
    from lightning.fabric import Fabric

STATE = "state.ckpt"
"""Name of the file with modules, optimizers and the rest; a folder that has one is a checkpoint."""

_SCALER = "scaler.pt"

_AUTOMATIC = re.compile(r"checkpoint_(\d+)")


def save(fabric: Fabric, folder: Path, state: Mapping[str, Any], scaler: Any = None) -> None:
    """Write `state.ckpt` (on rank zero, through Fabric's strategy) and this rank's random states into `folder`.

    No rank waits for another one: scripts written for Hugging Face Accelerate save on the main process alone.

    Args:
        fabric: The Fabric with which the objects were set up.
        folder: The folder, which exists.
        state: Modules, optimizers, objects with `state_dict`, or plain data, by name.
        scaler: The loss scaler, or None.
    """
    fabric.strategy.save_checkpoint(folder / STATE, dict(state))
    if scaler is not None and fabric.is_global_zero:
        torch.save(scaler.state_dict(), folder / _SCALER)
    torch.save(_random_states(), folder / f"random_{fabric.global_rank}.pt")


def check(folder: Path) -> None:
    """Check that there is a checkpoint in a folder.

    Raises:
        FileNotFoundError: There is none.
    """
    if not (folder / STATE).exists():
        message = f"no checkpoint in {str(folder)!r}; give the folder that `save_state` returned."
        raise FileNotFoundError(message)


def load(fabric: Fabric, folder: Path, state: Mapping[str, Any], scaler: Any = None) -> None:
    """Restore the content of a state of `save` into the objects in `state`; called on every rank."""
    fabric.load(folder / STATE, dict(state))
    if scaler is not None and (folder / _SCALER).exists():  # absent when the state was saved with another precision
        scaler.load_state_dict(torch.load(folder / _SCALER, weights_only=True))
    random_states = folder / f"random_{fabric.global_rank}.pt"
    if random_states.exists():  # absent when the number of processes grew, or the main process saved alone
        # Python's and NumPy's generator states are tuples and arrays that torch's restricted unpickler refuses.
        _restore_random_states(torch.load(random_states, weights_only=False))


def automatic_folders(configuration: ProjectConfiguration) -> list[Path]:
    """Return the automatically named checkpoint folders, oldest first."""
    parent = Path(configuration.project_dir or ".") / "checkpoints"
    found = [(int(match[1]), path) for path in parent.glob("*") if (match := _AUTOMATIC.fullmatch(path.name))]
    return [path for _, path in sorted(found)]


def next_folder(configuration: ProjectConfiguration) -> Path:
    """Return the folder for the next automatic checkpoint; an existing one is never overwritten.

    Raises:
        FileExistsError: The folder exists already.
    """
    folder = Path(configuration.project_dir or ".") / "checkpoints" / f"checkpoint_{configuration.iteration}"
    if folder.exists():
        message = f"{str(folder)!r} exists; set `iteration` in ProjectConfiguration to the next free number."
        raise FileExistsError(message)
    return folder


def prune(configuration: ProjectConfiguration) -> None:
    """Delete the oldest automatic checkpoints beyond `total_limit`."""
    if configuration.total_limit is not None:
        for folder in automatic_folders(configuration)[: -configuration.total_limit]:
            shutil.rmtree(folder)


def _random_states() -> dict[str, Any]:
    states = {"python": random.getstate(), "numpy": np.random.get_state(), "torch": torch.get_rng_state()}  # noqa: NPY002
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state_all()
    return states


def _restore_random_states(states: Mapping[str, Any]) -> None:
    random.setstate(states["python"])
    np.random.set_state(states["numpy"])  # noqa: NPY002
    torch.set_rng_state(states["torch"])
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(states["cuda"])
