"""Drawing: the pixels of a figure of Matplotlib's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def is_figure(value: Any) -> bool:
    """Return whether a value is a figure of Matplotlib's or Plotly's, or what stands for Matplotlib's current one."""
    return getattr(value, "__name__", None) == "matplotlib.pyplot" or is_plotly(value) or _figure_of(value) is not None


def is_plotly(value: Any) -> bool:
    """Return whether a value is a figure of Plotly's."""
    return any(
        cls.__module__.partition(".")[0] == "plotly" and cls.__name__ == "BaseFigure" for cls in type(value).__mro__
    )


def drawn(value: Any) -> NDArray[np.uint8]:
    """Return the pixels, of shape (height, width, 4), of a figure, of the figure of its parts, or of pyplot's current.

    The figure stays as it is, and open.

    Raises:
        TypeError: It is none of those.
        ValueError: It is so small that it has no pixels.
    """
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure = value.gcf() if getattr(value, "__name__", None) == "matplotlib.pyplot" else _figure_of(value)
    if figure is None:
        message = f"a figure is one of Matplotlib's or Plotly's; got {type(value).__name__}."
        raise TypeError(message)
    canvas = figure.canvas
    try:
        agg = FigureCanvasAgg(figure)
        agg.draw()
        pixels = np.array(agg.buffer_rgba())
    finally:
        figure.set_canvas(canvas)
    if not pixels.size:
        message = f"a figure has pixels; got the shape {pixels.shape}."
        raise ValueError(message)
    return pixels


def _figure_of(value: Any) -> Any:
    """Return the figure that a part of a figure, such as an axes, belongs to; None if there is none."""
    if not any(cls.__module__.partition(".")[0] == "matplotlib" for cls in type(value).__mro__):
        return None
    from matplotlib.figure import Figure

    figure = value if isinstance(value, Figure) else getattr(value, "figure", None)
    while figure is not None and not isinstance(figure, Figure):  # a figure in a figure
        figure = getattr(figure, "figure", None)
    return figure
