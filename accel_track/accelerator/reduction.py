"""Reduction of logged numbers over all processes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from accel_track.values.plain import check_values, is_number, leaves, plain

if TYPE_CHECKING:
    from lightning.fabric import Fabric

Reduction = Literal["mean", "sum", "max"]


def reduced(fabric: Fabric | None, values: Mapping[str, Any], reduction: Reduction) -> dict[str, Any]:
    """Return values with each number replaced by its mean, sum or maximum over all processes; a collective call.

    Args:
        fabric: The Fabric whose processes take part; None for this process alone.
        values: Names to values, possibly nested. Numbers have the same names in the same order on all processes. What
            is not a number keeps this process's value.
        reduction: "mean", "sum" or "max".

    Raises:
        TypeError: `values` is not a dictionary with string keys.
        ValueError: `reduction` is none of these.
    """
    if reduction not in get_args(Reduction):
        message = f"`reduce` must be one of {', '.join(get_args(Reduction))}; got {reduction!r}."
        raise ValueError(message)
    own: dict[str, Any] = plain(check_values(values))
    numbers = [float(value) for _, value in leaves(own) if is_number(value)]
    if fabric is None or not numbers:
        return own
    import torch

    # One message for all numbers; MPS has no float64.
    kind = torch.float32 if fabric.device.type == "mps" else torch.float64
    tensor = torch.tensor(numbers, dtype=kind, device=fabric.device)
    result = cast("torch.Tensor", fabric.all_reduce(tensor, reduce_op=reduction))
    return _replaced(own, iter(result.tolist()))


def _replaced(values: Mapping[str, Any], numbers: Iterator[float]) -> dict[str, Any]:
    """Return nested values with the numbers in them replaced, in the order of `leaves`."""
    return {
        key: _replaced(value, numbers) if isinstance(value, Mapping) else (next(numbers) if is_number(value) else value)
        for key, value in values.items()
    }
