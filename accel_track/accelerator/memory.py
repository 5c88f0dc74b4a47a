"""Memory: its return to the system, and the largest batch size that fits into it."""

from __future__ import annotations

import functools
import gc
from collections.abc import Callable
from typing import Any

import torch

_FULL = ("out of memory", "can't allocate memory", "CUDNN_STATUS_NOT_SUPPORTED")
"""The texts in torch's errors about a lack of memory."""


def release_memory(*objects: Any) -> list[None]:
    """Collect garbage and give back the memory that torch caches for a GPU.

    The returned values clear the caller's variables: `model, optimizer = release_memory(model, optimizer)`.

    Args:
        *objects: The objects of the caller's variables.

    Returns:
        None for each object.
    """
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()
    return [None] * len(objects)


def find_executable_batch_size(
    function: Callable[..., Any] | None = None,
    starting_batch_size: int = 128,
    reduce_batch_size_fn: Callable[[], int] | None = None,
) -> Any:
    """Decorate a function so that it is called again with a smaller batch size as long as memory runs out.

    The decorated function raises a RuntimeError if not even a batch of one sample fits.

    Args:
        function: The function. Its first argument is the batch size, which callers leave out. None to return a
            decorator.
        starting_batch_size: The first size.
        reduce_batch_size_fn: A function that returns the next size. Default: nine tenths of the last size.
    """
    if function is None:
        return functools.partial(
            find_executable_batch_size,
            starting_batch_size=starting_batch_size,
            reduce_batch_size_fn=reduce_batch_size_fn,
        )
    size = starting_batch_size

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal size
        while size > 0:
            try:
                return function(size, *args, **kwargs)
            except RuntimeError as error:
                if not any(text in str(error) for text in _FULL):
                    raise
            release_memory()  # what the failed call held is free by now
            size = size * 9 // 10 if reduce_batch_size_fn is None else reduce_batch_size_fn()
        message = f"{function.__name__}: memory does not suffice for any batch size."
        raise RuntimeError(message)

    return call
