"""Seeds: the random numbers of Python, NumPy and torch, and of samplers, from one number."""

from __future__ import annotations

import operator
import os
import random
from collections.abc import Iterable
from typing import TYPE_CHECKING

from accel_track.processes import process_group
from accel_track.state import process_index

if TYPE_CHECKING:
    import torch


def set_seed(seed: int, device_specific: bool = False, deterministic: bool = False) -> None:
    """Seed the random numbers of Python, NumPy and torch on all devices, and the order of prepared data loaders.

    Args:
        seed: The seed, from 0 to 2**32 - 1.
        device_specific: Whether each process gets a seed of its own, `seed` plus its rank. Samplers get `seed` on all
            processes, since their shares would overlap otherwise.
        deterministic: Whether torch uses deterministic algorithms only.

    Raises:
        TypeError: `seed` is not an integer.
        ValueError: The seed is out of range.
    """
    import numpy as np
    import torch

    try:
        seed = operator.index(seed)
    except TypeError:
        message = f"`seed` must be an integer; got {type(seed).__name__}."
        raise TypeError(message) from None
    own = seed + process_index() if device_specific else seed
    if not (seed >= 0 and own < 2**32):
        message = f"`seed` must be from 0 to 2**32 - 1, with the rank added; got {own}."
        raise ValueError(message)
    random.seed(own)
    np.random.seed(own)  # noqa: NPY002 - the generator that programs share
    torch.manual_seed(own)  # of all devices
    os.environ["PL_GLOBAL_SEED"] = str(seed)  # from which Fabric seeds distributed samplers
    if deterministic:
        torch.use_deterministic_algorithms(True)


def synchronize_rng_state(rng_type: str = "torch", generator: torch.Generator | None = None) -> None:
    """Give all processes the random state of rank 0; a collective call, and nothing in a single process.

    Args:
        rng_type: "torch", "cuda" or "generator".
        generator: The generator, for "generator".

    Raises:
        ValueError: `rng_type` is unknown, or "generator" has no generator.
    """
    import torch

    kind = str(getattr(rng_type, "value", rng_type))
    if kind == "generator":
        if generator is None:
            message = "synchronize_rng_state: 'generator' needs the argument `generator`."
            raise ValueError(message)
        get, put = generator.get_state, generator.set_state
    elif kind in ("torch", "cuda"):
        source = torch if kind == "torch" else torch.cuda
        get, put = source.get_rng_state, source.set_rng_state
    else:
        message = f"`rng_type` must be 'torch', 'cuda' or 'generator'; got {kind!r}."
        raise ValueError(message)
    if (distributed := process_group()) is not None:
        state = [get()]
        distributed.broadcast_object_list(state, 0)
        put(state[0])


def synchronize_rng_states(rng_types: Iterable[str], generator: torch.Generator | None = None) -> None:
    """Give all processes several random states of rank 0; a collective call.

    Args:
        rng_types: The kinds of states: "torch", "cuda" and "generator".
        generator: The generator, for "generator".

    Raises:
        ValueError: A kind is unknown, or "generator" has no generator.
    """
    for one in rng_types:
        synchronize_rng_state(one, generator)
