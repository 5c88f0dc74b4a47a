"""The command `accel-track`."""

import typer

from accel_track.cli import (
    alerts,
    autopsy,
    compare,
    demo,
    doctor,
    export,
    import_,
    ls,
    move,
    note,
    open_,
    prune,
    rename,
    report,
    rm,
    show,
    sync,
    tag,
    tail,
    top,
    verify,
)
from accel_track.cli._app import Commands, root
from accel_track.cli._common import EPILOG

app = typer.Typer(name="accel-track", cls=Commands, epilog=EPILOG, no_args_is_help=True, pretty_exceptions_enable=False)
app.callback()(root)
for _command in (
    ls.ls,
    show.show,
    top.top,
    compare.compare,
    tail.tail,
    open_.open_,
    report.report,
    alerts.alerts,
    autopsy.autopsy,
    rm.rm,
    rename.rename,
    tag.tag,
    note.note,
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
