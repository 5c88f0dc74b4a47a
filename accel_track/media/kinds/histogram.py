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
    """A histogram of the numbers that there are in the call.

    Args:
        data: The numbers: an array, tensor or list of any shape. NaN and infinities are counted apart.
        bins: How many bins of equal width there are, 1 to 512.
        counts: How many numbers are in each bin, in place of `data`.
        edges: The edges of the bins, one more than there are counts.
    """

    kind = "histogram"

    def __init__(self, data: Any = None, bins: int = 64, *, counts: Any = None, edges: Any = None) -> None:
        """Keep the numbers until they are logged."""
        self._given = (data, bins, counts, edges)
        self.info = {}

    def content(self) -> Content:
        """Return counts, edges, and sums."""
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
        """How many numbers are in each bin."""
        return list(self.info["counts"])

    @property
    def edges(self) -> list[float]:
        """The edges of the bins, one more than there are counts."""
        return list(self.info["edges"])

    def quantile(self, share: float) -> float:
        """Return the number below which a share of the numbers lies, to the width of a bin."""
        return histograms.quantile(self.counts, self.edges, share)

    @classmethod
    def of_stored(cls, info: Mapping[str, Any], path: Path | None) -> Self:
        """Return the histogram that is stored so: in a file, if it was counted after the call."""
        return super().of_stored(info if path is None else json.loads(path.read_bytes()), None)

    def data(self) -> bytes:
        """Return counts, edges and sums as JSON."""
        return json.dumps(dict(self.info)).encode()
