"""The command `accel-track`."""

import typer

from accel_track.cli import demo

app = typer.Typer(
    name="accel-track",
    help="Track experiments with TensorBoard, Weights & Biases, MLflow, Comet and others through one API.",
    no_args_is_help=True,
    add_completion=False,
)
app.command()(demo.demo)


@app.callback()
def main() -> None:
    """Keep subcommands: with a single command typer would run it directly."""
