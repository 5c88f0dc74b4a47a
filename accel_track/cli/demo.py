"""`accel-track demo`: a training on a small real data set, logged to two backends and read back from both."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from accel_track.cli._common import Json, here, print_json
from accel_track.cli._plot import Curve, draw
from accel_track.trackers.installing import install_command

if TYPE_CHECKING:
    from collections import Counter

    from accel_track.demo import Stored

_NEEDS = ("sklearn", "mlflow", "plotext")


def demo(
    folder: Annotated[Path, typer.Option("--dir", metavar="DIR", parser=here, help="Where to put the run.")] = Path(
        "accel-track-demo"
    ),
    epochs: Annotated[int, typer.Option(min=1, metavar="N", help="Passes over the data.")] = 10,
    as_json: Json = False,
) -> None:
    """Train a small network on scikit-learn's handwritten digits, and log it to TensorBoard and MLflow.

    Example: accel-track demo --epochs 3
    """
    if missing := [module for module in _NEEDS if find_spec(module) is None]:
        typer.echo(f"demo: missing {', '.join(missing)}; {install_command('accel-track[demo]')}", err=True)
        raise typer.Exit(code=2)

    from accel_track.demo import media_of_mlflow, media_of_tensorboard, read_mlflow, read_tensorboard, train

    if as_json:
        with contextlib.redirect_stdout(sys.stderr):  # the Trainer's progress
            run = train(folder, epochs)
        stored = {"tensorboard": read_tensorboard(run), "mlflow": read_mlflow(run)}
        media = {"tensorboard": dict(media_of_tensorboard(run)), "mlflow": dict(media_of_mlflow(run))}
        print_json({**asdict(run), **stored, "media": media})
        return
    run = train(folder, epochs)
    _show(read_tensorboard(run), read_mlflow(run))
    _show_media(media_of_tensorboard(run), media_of_mlflow(run))
    typer.echo(f"\nTensorBoard files: {run.log_dir}")
    typer.echo(f"  look at them:    tensorboard --logdir {run.root_dir}")
    typer.echo(f"MLflow database:   {run.mlflow_uri}")
    typer.echo(f"  look at it:      mlflow ui --backend-store-uri {run.mlflow_uri}")


def _show_media(tensorboard: Counter[str], mlflow: Counter[str]) -> None:
    """Print how many media both backends hold."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title="Pictures, tables, histograms and texts, read back from each backend")
    for column in ("name", "TensorBoard", "MLflow"):
        table.add_column(column, justify="left" if column == "name" else "right")
    for name in sorted(tensorboard | mlflow):
        table.add_row(name, str(tensorboard[name]), str(mlflow[name]))
    Console().print(table)


def _show(tensorboard: Stored, mlflow: Stored) -> None:
    """Print the numbers that both backends hold, side by side, and plot the loss."""
    import numpy as np
    from rich.console import Console
    from rich.table import Table

    from accel_track.views.metric import Points

    table = Table(title="What was logged, read back from each backend")
    for column in ("metric", "points", "TensorBoard: last", "MLflow: last"):
        table.add_column(column, justify="left" if column == "metric" else "right")
    for name in sorted(tensorboard.keys() | mlflow.keys()):
        files, database = tensorboard.get(name, []), mlflow.get(name, [])
        points = str(len(files)) if len(files) == len(database) else f"{len(files)} and {len(database)}"
        last = [f"{series[-1][1]:.6g} at {series[-1][0]}" if series else "none" for series in (files, database)]
        table.add_row(name, points, *last)
    Console().print(table)

    curves = []
    for name in ("train/loss", "val/loss"):
        steps, losses = zip(*mlflow[name], strict=True)
        curves.append(Curve(name, Points(np.array(steps), np.empty(0), np.array(losses))))
    draw("loss by training step", curves)
