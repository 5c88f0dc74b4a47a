"""Collective operations on tensors and objects of all processes, and functions of collections of tensors.

Each works in an initialised process group; a single process sends nothing. Tensors may be in dictionaries, lists,
tuples and dataclasses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor

from accel_track.processes import process_group


def gather(tensor: Any) -> Any:
    """Return the tensors of all processes, joined along the first dimension, rank by rank; a collective call.

    Args:
        tensor: A tensor of shape (n, …), the same on all processes, a 0-d tensor, or a collection of these.

    Returns:
        The same structure with shapes (world size · n, …), or (world size,) for 0-d tensors. In a single process, the
        input.
    """
    if (distributed := process_group()) is None:
        return tensor

    def joined(one: Tensor) -> Tensor:
        one = (one[None] if one.ndim == 0 else one).contiguous()
        parts = [torch.empty_like(one) for _ in range(distributed.get_world_size())]
        distributed.all_gather(parts, one)
        return torch.cat(parts)

    return apply_to_collection(tensor, Tensor, joined)


def gather_object(objects: Any) -> Any:
    """Return the lists of all processes as one list, rank by rank; a collective call.

    Args:
        objects: A list, or another iterable, of objects that pickle takes.

    Returns:
        The list of all objects. In a single process, the input.
    """
    if (distributed := process_group()) is None:
        return objects
    parts: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(parts, objects)
    return [one for part in parts for one in part]


def broadcast(tensor: Any, from_process: int = 0) -> Any:
    """Return the tensors of one process on all processes; a collective call.

    Args:
        tensor: A tensor of the same shape on all processes, or a collection of these; changed in place.
        from_process: Rank of the process whose tensors are sent.
    """
    if (distributed := process_group()) is None:
        return tensor

    def sent(one: Tensor) -> Tensor:
        distributed.broadcast(one, src=from_process)
        return one

    return apply_to_collection(tensor, Tensor, sent)


def broadcast_object_list(object_list: list[Any], from_process: int = 0) -> list[Any]:
    """Replace the objects in a list with those of one process; a collective call.

    Args:
        object_list: A list of objects that pickle takes, equally long on all processes; changed in place.
        from_process: Rank of the process whose objects are sent.

    Returns:
        The same list.
    """
    if (distributed := process_group()) is not None:
        distributed.broadcast_object_list(object_list, src=from_process)
    return object_list


def reduce(tensor: Any, reduction: str = "mean", scale: float = 1.0) -> Any:
    """Return new tensors, reduced over all processes; a collective call.

    Args:
        tensor: A tensor of the same shape on all processes, or a collection of these.
        reduction: "mean", "sum", "max", or "none" for copies of the input.
        scale: The factor 1; other factors are for TPUs only.

    Raises:
        ValueError: `reduction` is unknown, or `scale` is not 1.
    """
    check_reduction(reduction, ("mean", "sum", "max", "none"), scale)
    distributed = process_group()

    def reduced(one: Tensor) -> Tensor:
        one = one.clone()
        if distributed is not None and reduction != "none":
            operation = distributed.ReduceOp.MAX if reduction == "max" else distributed.ReduceOp.SUM
            distributed.all_reduce(one, operation)
            if reduction == "mean":
                one = one / distributed.get_world_size()
        return one

    return apply_to_collection(tensor, Tensor, reduced)


def check_reduction(reduction: str, known: Sequence[str], scale: float) -> None:
    """Check the arguments of a reduction.

    Raises:
        ValueError: `reduction` is unknown, or `scale` is not 1.
    """
    if reduction not in known:
        message = f"`reduction` must be {', '.join(map(repr, known[:-1]))} or {known[-1]!r}; got {reduction!r}."
        raise ValueError(message)
    if scale != 1:
        message = f"`scale` is for TPUs only; got {scale!r}. Multiply the result instead."
        raise ValueError(message)


def pad_across_processes(tensor: Any, dim: int = 0, pad_index: float = 0, pad_first: bool = False) -> Any:
    """Return tensors padded to the largest size on any process, so that `gather` takes them; a collective call.

    Args:
        tensor: A tensor of any size along `dim`, or a collection of these. A tensor without that dimension stays as it
            is.
        dim: The dimension; a negative number counts from the end.
        pad_index: The value of the padding.
        pad_first: Whether the padding is at the beginning instead of the end.
    """

    def padded(one: Tensor) -> Tensor:
        if not -one.ndim <= dim < one.ndim:
            return one
        largest = int(reduce(torch.tensor(one.shape[dim], device=one.device), "max"))
        if largest == one.shape[dim]:
            return one
        shape = list(one.shape)
        shape[dim] = largest
        whole = one.new_full(shape, pad_index)
        start = largest - one.shape[dim] if pad_first else 0
        whole.narrow(dim, start, one.shape[dim]).copy_(one)
        return whole

    return apply_to_collection(tensor, Tensor, padded)


def send_to_device(
    tensor: Any,
    device: torch.device | str | int,
    non_blocking: bool = False,
    skip_keys: Sequence[str] | str | None = None,
) -> Any:
    """Return tensors, and other objects with a method `to`, on a device.

    Args:
        tensor: A tensor or a collection.
        device: The device.
        non_blocking: Whether the call may return before the transfer to a GPU has ended.
        skip_keys: Keys of dictionaries whose values stay where they are.
    """
    if isinstance(tensor, Mapping) and skip_keys and not hasattr(tensor, "to"):
        left = [skip_keys] if isinstance(skip_keys, str) else skip_keys
        moved = {
            key: one if key in left else send_to_device(one, device, non_blocking, skip_keys)
            for key, one in tensor.items()
        }
        return type(tensor)(moved)  # type: ignore[call-arg]
    if isinstance(tensor, Tensor):
        return tensor.to(device, non_blocking=non_blocking)
    if hasattr(tensor, "to"):
        return tensor.to(device)  # pyright: ignore[reportAttributeAccessIssue] - `hasattr` is lost on a mapping
    return apply_to_collection(tensor, Tensor, lambda one: one.to(device, non_blocking=non_blocking))


def concatenate(data: Sequence[Any], dim: int = 0) -> Any:
    """Join tensors, or collections of equal structure, along a dimension.

    Args:
        data: A list of tensors, or of tuples, lists or dictionaries of tensors.
        dim: The dimension.

    Raises:
        TypeError: `data` holds another type.
    """
    first = data[0]
    if isinstance(first, Mapping):
        return type(first)({key: concatenate([one[key] for one in data], dim) for key in first})  # type: ignore[call-arg]
    if isinstance(first, (tuple, list)):
        return type(first)([concatenate([one[index] for one in data], dim) for index in range(len(first))])
    if not isinstance(first, Tensor):
        message = f"concatenate takes tensors and collections of them; got {type(first).__name__}."
        raise TypeError(message)
    return torch.cat(list(data), dim=dim)


def find_batch_size(data: Any) -> int | None:
    """Return the size of the first dimension of the first tensor in a collection; None for a 0-d tensor.

    Args:
        data: A tensor, or a tuple, list or dictionary of collections.

    Raises:
        TypeError: The first entry is no tensor.
        ValueError: A collection is empty.
    """
    if isinstance(data, (tuple, list, Mapping)):
        if not data:
            message = f"find_batch_size: there is no tensor in an empty {type(data).__name__}."
            raise ValueError(message)
        return find_batch_size(next(iter(data.values() if isinstance(data, Mapping) else data)))
    if not isinstance(data, Tensor):
        message = f"find_batch_size takes tensors and collections of them; got {type(data).__name__}."
        raise TypeError(message)
    return data.shape[0] if data.ndim else None


def listify(data: Any) -> Any:
    """Return a collection with a nested list of numbers in place of each tensor.

    Args:
        data: A tensor or a collection.
    """
    return apply_to_collection(data, Tensor, lambda one: (one.float() if one.dtype == torch.bfloat16 else one).tolist())


def recursively_apply(
    func: Callable[..., Any],
    data: Any,
    *args: Any,
    test_type: Callable[[Any], bool] = lambda one: isinstance(one, Tensor),
    error_on_other_type: bool = False,
    **kwargs: Any,
) -> Any:
    """Return a collection with a function applied to each of its tensors, or of other objects.

    Args:
        func: The function.
        data: An object, or a tuple, list or dictionary of collections.
        *args: Further arguments of the function.
        test_type: A function that returns whether `func` applies to an object. Default: to tensors.
        error_on_other_type: Whether another object is a TypeError; if not, it stays as it is.
        **kwargs: Further keyword arguments of the function.

    Raises:
        TypeError: With `error_on_other_type`, an object is of another kind.
    """

    def again(one: Any) -> Any:
        return recursively_apply(
            func, one, *args, test_type=test_type, error_on_other_type=error_on_other_type, **kwargs
        )

    if isinstance(data, (tuple, list)):
        members = [again(one) for one in data]
        return type(data)(*members) if hasattr(data, "_fields") else type(data)(members)
    if isinstance(data, Mapping):
        return type(data)({key: again(one) for key, one in data.items()})  # type: ignore[call-arg]
    if test_type(data):
        return func(data, *args, **kwargs)
    if error_on_other_type:
        message = f"{getattr(func, '__name__', 'the function')} does not take a {type(data).__name__}."
        raise TypeError(message)
    return data


def wait_for_everyone() -> None:
    """Block until all processes of an initialised group have made this call."""
    if (distributed := process_group()) is not None:
        distributed.barrier()
