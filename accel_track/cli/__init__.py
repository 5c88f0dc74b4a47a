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
from accel_track.cli._app import Command, Commands, help_of, root
from accel_track.cli._common import EPILOG

FAMILIES = {
    "Find and compare runs": (ls.ls, show.show, compare.compare, report.report),
    "Watch runs": (top.top, tail.tail, open_.open_, alerts.alerts, autopsy.autopsy),
    "Deliver, verify, import and export": (sync.sync, verify.verify, import_.import_, move.move, export.export),
    "Tidy up": (tag.tag, note.note, rename.rename, rm.rm, prune.prune),
    "Check and try": (doctor.doctor, demo.demo),
}
"""The commands, in the order of the help and of the pages of the documentation."""

app = typer.Typer(name="accel-track", cls=Commands, epilog=EPILOG, no_args_is_help=True, pretty_exceptions_enable=False)
app.callback()(root)
for _family, _commands in FAMILIES.items():
    for _command in _commands:
        app.command(
            _command.__name__.rstrip("_"),
            cls=Command,
            help=help_of(_command),
            epilog=EPILOG,
            rich_help_panel=_family,
        )(_command)
