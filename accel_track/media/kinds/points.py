"""Clouds of points."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from accel_track.media import pixels
from accel_track.media.content import Content
from accel_track.media.kinds.medium import Medium, captioned

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Points3D(Medium):
    """A cloud of points in space.

    Args:
        data: An array or tensor of finite numbers, with x, y and z of each point: of shape (N, 3), (N, 4) with a
            category of 1 to 14, or (N, 6) with red, green and blue of 0 to 255. It is stored as 32-bit floats in
            NumPy's file format.
        caption: Text below the points.
    """

    kind = "points"

    def __init__(self, data: Any, caption: str | None = None) -> None:
        """Keep the points until they are logged."""
        self._given = data
        self.info = captioned(caption)

    def content(self) -> Content:
        """Return the points as the bytes of a `.npy` file."""
        import numpy as np

        array = pixels.number_array(self._given, "points are an array")
        if array.ndim != 2 or array.shape[1] not in (3, 4, 6) or not len(array):  # noqa: PLR2004 - as the docstring says
            message = f"points have the shape (N, 3), (N, 4) or (N, 6); got {array.shape}."
            raise ValueError(message)
        array = array.astype("<f4")
        if not np.isfinite(array).all():
            message = "points are finite numbers."
            raise ValueError(message)
        stream = io.BytesIO()
        np.save(stream, array, allow_pickle=False)
        return Content(self.info, ".npy", data=stream.getvalue())

    def array(self) -> NDArray[np.float32]:
        """Return the points, of shape (N, 3), (N, 4) or (N, 6).

        Raises:
            OSError: The file cannot be read.
            DamagedMediumError: The file is damaged.
        """
        import numpy as np

        with self._reading():
            array: NDArray[np.float32] = np.load(io.BytesIO(self.data()), allow_pickle=False)
        return array
