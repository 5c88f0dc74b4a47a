"""`accel-track report`: runs as one page, written to a file or served and kept up to date."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from accel_track.cli._common import (
    INCOMPLETE,
    Json,
    RunsArgument,
    fail,
    find_all,
    here,
    module_missing,
    one_line_errors,
    print_json,
    say,
    size,
)
from accel_track.texts import counted

if TYPE_CHECKING:
    from accel_track.views.report.feed import Feed

_MEGABYTE = 1_000_000


def report(
    runs: RunsArgument,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FILE", parser=here, help="File to write; an earlier one is replaced."),
    ] = Path("report.html"),
    serve: Annotated[
        bool, typer.Option("--serve", help="Serve the page on 127.0.0.1, kept up to date, until Ctrl-C.")
    ] = False,
    port: Annotated[
        int,
        typer.Option(
            min=0, max=65535, metavar="PORT", help="Port of --serve; by default a free one.", show_default=False
        ),
    ] = 0,
    media: Annotated[
        float, typer.Option(min=0, max=1000, metavar="MB", help="Megabytes of media files in the page.")
    ] = 3,
    as_json: Json = False,
) -> None:
    """Make a page of runs: curves, values, hyperparameters, media, delivery. It is one file, and needs no network.

    Example: accel-track report 3f9a2c 77c0de -o report.html
    """
    module_missing("report", ["bokeh"], "accel-track[report]")
    with one_line_errors():
        from accel_track.views.report.feed import Feed

        found = {run.path.resolve(): run for text in runs for run in find_all(text)}
        feed = Feed(list(found.values()), int(media * _MEGABYTE))
        if serve:
            _serve(feed, port, as_json=as_json)
        else:
            _write(feed, output, as_json=as_json)
        if any(content.damaged for content in feed.contents):
            raise typer.Exit(code=INCOMPLETE)


def _write(feed: Feed, output: Path, *, as_json: bool) -> None:
    from accel_track.files import replace_file
    from accel_track.views.report.page import page

    if output.is_dir():
        fail(f"{output} is a folder; give the name of a file.")
    document = feed.document()
    data = page(document).encode()
    try:
        replace_file(output, data, mode=0o666)
    except OSError as error:
        fail(f"report: {output} cannot be written ({error.strerror or error}).")
    about: dict[str, Any] = {
        "output": str(output),
        "bytes": len(data),
        "runs": [one["id"] for one in document["runs"]],
        "metrics": len({name for one in document["runs"] for name, _ in one["metrics"]}),
        "points_of_a_curve": document["limit"],
        "media": feed.room.shown,
        "media_left_out": feed.room.left_out,
        "damaged_bytes": sum(content.damaged for content in feed.contents),
    }
    if as_json:
        print_json(about)
        return
    left = f" ({about['media_left_out']} media are left out)" if about["media_left_out"] else ""
    what = f"{counted(len(about['runs']), 'run')}, {counted(about['metrics'], 'metric')}"
    say(f"{output}: {what}, {size(len(data))}{left}")


def _serve(feed: Feed, port: int, *, as_json: bool) -> None:
    from accel_track.views.report.server import ReportServer

    feed.document()  # a run that cannot be read is an error here, and not in the page
    try:
        server = ReportServer(feed, port)
    except OSError as error:
        fail(f"report: port {port} of 127.0.0.1 cannot be used ({error.strerror}); choose another --port, or none.")
    with server:
        if as_json:
            print_json({"url": server.url})
        else:
            say(f"{server.url}  (Ctrl-C ends)")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            say("", err=True)
