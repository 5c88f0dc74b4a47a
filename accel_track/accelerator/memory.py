"""Memory: giving it back, and the largest batch size that fits."""

from __future__ import annotations

import functools
import gc
from collections.abc import Callable
from typing import Any

import torch

_FULL = ("out of memory", "can't allocate memory", "CUDNN_STATUS_NOT_SUPPORTED")
"""What torch's errors say where memory did not suffice."""


def release_memory(*objects: Any) -> list[None]:
    """Collect garbage and give back the memory that is cached for a GPU.

    Callers forget the objects by what is returned: `model, optimizer = release_memory(model, optimizer)`.

    Returns:
        As many times None as there are objects, for their variables.
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
    """Decorate a function so that it is called again with a smaller batch size while memory does not suffice.

    Args:
        function: Its first argument is the batch size, which callers leave out; None for a decorator.
        starting_batch_size: The first size.
        reduce_batch_size_fn: Returns the next size. Default: nine tenths of the last one.

    Raises:
        RuntimeError: When called: not even a batch of one sample fits.
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
