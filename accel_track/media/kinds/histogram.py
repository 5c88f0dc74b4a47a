"""Histograms."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accel_track.media import histograms, waiting
from accel_track.media.content import Content
from accel_track.media.kinds.medium import Medium

if TYPE_CHECKING:
    from typing_extensions import Self


class Histogram(Medium):
    """A histogram of numbers.

    Args:
        data: The numbers: an array, a tensor or a list of any shape. NaN and infinities are counted apart.
        bins: Number of bins of equal width, 1 to 512.
        counts: The count of each bin, in place of `data`.
        edges: The edges of the bins, one more than `counts`.
    """

    kind = "histogram"

    def __init__(self, data: Any = None, bins: int = 64, *, counts: Any = None, edges: Any = None) -> None:
        """Keep the numbers until they are logged."""
        self._given = (data, bins, counts, edges)
        self.info = {}

    def content(self) -> Content:
        """Return counts, edges and sums, or the numbers that are counted after the call."""
        data, bins, counts, edges = self._given
        if (data is None) == (counts is None) or (counts is None) != (edges is None):
            message = "`Histogram` takes either numbers, or `counts` and `edges`."
            raise TypeError(message)
        if counts is not None:
            return Content(histograms.counted(counts, edges))
        many = histograms.to_be_counted(data, bins)
        if many is not None:
            return Content({"bins": bins}, waiting.NUMBERS, numbers=many)
        return Content(histograms.histogram(data, bins))

    @property
    def counts(self) -> list[float]:
        """The count of each bin."""
        return list(self.info["counts"])

    @property
    def edges(self) -> list[float]:
        """The edges of the bins, one more than `counts`."""
        return list(self.info["edges"])

    def quantile(self, share: float) -> float:
        """Return a quantile of the numbers, to the width of a bin.

        Args:
            share: The share of the numbers that lie below the quantile, 0 to 1.
        """
        return histograms.quantile(self.counts, self.edges, share)

    @classmethod
    def of_stored(cls, info: Mapping[str, Any], path: Path | None) -> Self:
        """Return a stored histogram.

        Args:
            info: Counts, edges and sums, if there is no file.
            path: The file of a histogram that was counted after the call, else None.
        """
        return super().of_stored(info if path is None else json.loads(path.read_bytes()), None)

    def data(self) -> bytes:
        """Return counts, edges and sums as JSON."""
        return json.dumps(dict(self.info)).encode()
