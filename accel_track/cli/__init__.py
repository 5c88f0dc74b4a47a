"""The command `accel-track`."""

import typer

from accel_track.cli import autopsy, demo, doctor, export, import_, ls, move, prune, show, sync, verify
from accel_track.cli._common import EPILOG

app = typer.Typer(
    name="accel-track",
    help="Track experiments with TensorBoard, Weights & Biases, MLflow, Comet and others through one API.",
    epilog=EPILOG,
    no_args_is_help=True,
    add_completion=False,
)
for _command in (
    ls.ls,
    show.show,
    autopsy.autopsy,
    sync.sync,
    import_.import_,
    move.move,
    export.export,
    verify.verify,
    prune.prune,
    doctor.doctor,
    demo.demo,
):
    app.command(_command.__name__.rstrip("_"), epilog=EPILOG)(_command)
