"""Copies of objects that can change after the call that logs them: figures, images, tables, charts."""

from __future__ import annotations

import copy
import io
import pickle
import sys
from enum import Enum
from functools import partial
from types import FunctionType, MethodType, ModuleType
from typing import Any


class ChangingError(Exception):
    """An object cannot be copied, and may change."""


_WHOLE = frozenset(("trackio", "pyecharts", "plotly", "altair", "pandas", "polars"))
"""Packages whose objects hold what they were given, and are copied with all of it."""

_MADE = frozenset(("wandb", "aim", "swanlab", "comet_ml", "clearml"))
"""Packages whose objects are made of what they were given, and do not change with it."""


def copied(value: Any) -> Any:
    """Return an object that does not change when `value` does: a copy, or the object itself where it cannot change.

    Raises:
        ChangingError: There is neither.
        BaseException: The object's own error.
    """
    if isinstance(value, ModuleType) and value.__name__ == "matplotlib.pyplot":
        return _figure(value.gcf())
    packages = {cls.__module__.partition(".")[0] for cls in type(value).__mro__}
    if "matplotlib" in packages:
        return _artist(value)
    if "PIL" in packages:
        return value.copy()
    if not packages.isdisjoint(_WHOLE):
        return copy.deepcopy(value)
    if type(value).__name__ == "Table" and "wandb" in packages:
        return _table(value)
    if packages.isdisjoint(_MADE) and _has_attributes(value):
        raise ChangingError
    return value


def _has_attributes(value: Any) -> bool:
    """Return whether an object is of a class whose objects have attributes of their own, and so can change."""
    fixed = (type, FunctionType, MethodType, ModuleType, BaseException, Enum, partial)
    return not isinstance(value, fixed) and type(value).__dictoffset__ != 0


def _artist(value: Any) -> Any:
    """Return a figure's copy; of another part of one, such as an axes, that of its figure, which is what SDKs store."""
    from matplotlib.figure import Figure

    figure = value if isinstance(value, Figure) else getattr(value, "figure", None)
    if not isinstance(figure, Figure):
        raise ChangingError
    return _figure(figure)


class _Pickler(pickle.Pickler):
    """A pickler of figures without their places among pyplot's, where a copy would be another open figure."""

    def reducer_override(self, value: Any) -> Any:
        if not isinstance(value, sys.modules["matplotlib.figure"].Figure):
            return NotImplemented
        make, arguments, state, *more = value.__reduce_ex__(pickle.DEFAULT_PROTOCOL)
        state.pop("_restore_to_pylab", None)
        return make, arguments, state, *more


def _figure(figure: Any) -> Any:
    """Return a copy of a figure; if a part of it cannot be copied, a figure that shows its picture."""
    stream = io.BytesIO()
    try:
        _Pickler(stream).dump(figure)
        return pickle.loads(stream.getbuffer())  # noqa: S301 - what was pickled in the line before
    except Exception:  # noqa: BLE001 - for example a function as the formatter of an axis
        return _picture(figure)


def _picture(figure: Any) -> Any:
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    canvas = figure.canvas
    try:
        drawn = FigureCanvasAgg(figure)
        drawn.draw()
        pixels = np.array(drawn.buffer_rgba())
    finally:
        figure.set_canvas(canvas)
    height, width = pixels.shape[:2]
    picture = Figure(figsize=(width / figure.dpi, height / figure.dpi), dpi=figure.dpi)
    axes = picture.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.imshow(pixels, aspect="auto", interpolation="none")
    return picture


def _table(table: Any) -> Any:
    """Return a table with rows of its own; one that wandb extends is one object for wandb, which numbers its parts."""
    if getattr(table, "log_mode", None) == "INCREMENTAL":
        raise ChangingError
    own = copy.copy(table)
    own.columns, own.data = list(table.columns), [list(row) for row in table.data]
    return own
