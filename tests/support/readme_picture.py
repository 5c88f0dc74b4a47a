"""The picture of the README: the demo's curves, as they are read back from both backends.

`python -m tests.support.readme_picture docs/images/demo.png`
"""

import io
import sys
import tempfile
from pathlib import Path

from accel_track.demo import Stored, read_mlflow, read_tensorboard, train

EPOCHS = 10
COLOURS = {"train": "#3949ab", "val": "#e8710a"}
INK = "#37474f"


def picture(backends: dict[str, Stored]) -> bytes:
    """Return a PNG with the curves of each backend, on paper of its own, for light and dark pages."""
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt
    from PIL import Image

    mpl.rcParams.update({"font.family": "DejaVu Sans", "font.size": 9, "text.color": INK, "axes.edgecolor": "#b0bec5"})
    mpl.rcParams.update({"axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK})
    figure, axes = plt.subplots(2, len(backends), figsize=(7.6, 3.5), dpi=200, layout="constrained", sharex=True)
    for place, (backend, stored) in enumerate(backends.items()):
        axes[0][place].set_title(f"read back from {backend}", fontsize=9, color="#607d8b")
        axes[1][place].set_xlabel("step")
        for axis, metric in zip(axes[:, place], ("loss", "accuracy"), strict=True):
            for part, colour in COLOURS.items():
                steps, values = zip(*stored[f"{part}/{metric}"], strict=True)
                axis.plot(steps, values, color=colour, linewidth=1.6, label=f"{part}/{metric}")
            axis.legend(frameon=False, loc="upper right" if metric == "loss" else "lower right")
            axis.spines[["top", "right"]].set_visible(False)
            axis.grid(color="#eceff1")
            axis.set_axisbelow(True)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", facecolor="white")
    small = io.BytesIO()
    Image.open(stream).convert("RGB").quantize(64).save(small, "PNG", optimize=True)
    return small.getvalue()


def main(path: Path) -> None:
    """Run the demo and draw it."""
    with tempfile.TemporaryDirectory() as folder:
        run = train(Path(folder), EPOCHS)
        path.write_bytes(picture({"TensorBoard": read_tensorboard(run), "MLflow": read_mlflow(run)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
