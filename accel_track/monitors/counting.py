"""Histograms counted on the device of a tensor, which nobody waits for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch

from accel_track.media.content import Content
from accel_track.media.kinds import Histogram

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BINS = 64
"""The number of bins of equal width in a histogram."""

_AT_ONCE = 4_194_304
"""The number of numbers that are counted at once: each has copies in double precision for a moment."""


@torch.no_grad()
def counted(values: torch.Tensor) -> torch.Tensor:
    """Return the counts of a histogram as one tensor of float64 on the device of the numbers.

    Nothing here waits for a GPU.

    Args:
        values: Real numbers, one or more, in a tensor of any shape.

    Returns:
        The counts of `BINS` bins between the smallest and the largest finite number; these two; the sum of the finite
        numbers and of their squares; how many are not finite.
    """
    parts = torch.split(values.detach().reshape(-1), _AT_ONCE)
    low, high = (torch.stack(ends) for ends in zip(*map(_ends, parts), strict=True))
    least, most = low.amin(), high.amax()
    # Of one number alone, NumPy's histogram has bins from half below to half above it.
    half = torch.where(most > least, 0.0, 0.5)
    begin, width = least - half, most - least + 2 * half
    together = torch.stack([_counts(part, begin, width) for part in parts]).sum(0)
    return torch.cat((together[:BINS], torch.stack((least, most)), together[BINS:]))


def _ends(part: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the smallest and the largest finite number; where there is none, infinity and its negative."""
    numbers = part.double()
    finite = numbers.isfinite()
    return torch.where(finite, numbers, torch.inf).amin(), torch.where(finite, numbers, -torch.inf).amax()


def _counts(part: torch.Tensor, begin: torch.Tensor, width: torch.Tensor) -> torch.Tensor:
    numbers = part.double()
    with _counting():
        # What is not finite is outside of 0 to 1, and so in no bin.
        counts = torch.histc((numbers - begin) / width, BINS, 0, 1)
    finite = numbers.isfinite()
    numbers = torch.where(finite, numbers, 0.0)
    sums = torch.stack((numbers.sum(), numbers.square().sum(), (~finite).sum().double()))
    return torch.cat((counts, sums))


@contextlib.contextmanager
def _counting() -> Iterator[None]:
    """Allow `histc`, which raises an error where only deterministic operations are wanted; whole numbers are exact."""
    if not torch.are_deterministic_algorithms_enabled():
        yield
        return
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(False)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(True, warn_only=warn_only)


def histogram_of(row: NDArray[np.float64]) -> Histogram:
    """Return the histogram that `counted` has counted.

    Args:
        row: What it returned, on the host.
    """
    import numpy as np

    least, most, total, squares, not_finite = row[BINS:].tolist()
    if not least <= most:
        return Uncounted(f"none of its {not_finite:.0f} numbers is finite")
    half = 0.0 if most > least else 0.5
    info: dict[str, Any] = {
        "counts": [int(count) for count in row[:BINS].tolist()],
        "edges": np.linspace(least - half, most + half, BINS + 1).tolist(),
        "min": least,
        "max": most,
        "sum": total,
        "sum_squares": squares,
        "not_finite": int(not_finite),
    }
    return Histogram.of_stored(info, None)


class Uncounted(Histogram):
    """A stand-in for a histogram that could not be counted: it is dropped by its name, as any such medium.

    Args:
        why: Why not.
    """

    def __init__(self, why: str) -> None:
        """Keep the reason."""
        super().__init__()
        self._why = why

    def content(self) -> Content:
        """Raise the reason why there is no histogram.

        Raises:
            ValueError: Always.
        """
        raise ValueError(self._why)
