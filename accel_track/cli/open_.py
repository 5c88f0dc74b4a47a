"""`accel-track open`: the installed page of a backend on chosen runs, live, also where they never had that backend."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
import webbrowser
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from accel_track.cli._common import Json, RunsArgument, fail, find_all, module_missing, one_line_errors, print_json, say
from accel_track.views.opened.servers import PAGES, Server, free_port, settle

if TYPE_CHECKING:
    from accel_track.views.opened.opening import Opening


def open_(
    runs: RunsArgument,
    with_: Annotated[
        str, typer.Option("--with", metavar="NAME", help=f"The backend: {', '.join(PAGES)}.")
    ] = "tensorboard",
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, metavar="PORT", help="Port of the page; by default the backend's usual one."),
    ] = None,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Print the address, and open no browser.")] = False,
    as_json: Json = False,
) -> None:
    """Open runs in TensorBoard, MLflow or Trackio, kept up to date until Ctrl-C.

    The runs, and what their own backends have of them, stay as they are.

    Example: accel-track open 3f9a2c 77c0de --with mlflow
    """
    if with_ not in PAGES:
        fail(f"--with: there is no page of {with_!r}; choose {', '.join(PAGES)}.")
    module_missing(f"open --with {with_}", [with_], with_ if with_ == "tensorboard" else f"accel-track[{with_}]")
    page = PAGES[with_]
    with one_line_errors(), _until_stopped(), _quiet() as out:
        from accel_track.views.opened.opening import Opening

        chosen = {run.path.absolute(): run for text in runs for run in find_all(text)}
        where = free_port(page.port if port is None else port, only=port is not None)
        opening = Opening(list(chosen.values()), with_)
        settle(page, opening.folder)
        server = None
        try:
            opening.start()
            server = Server(page, opening.folder, where)
            if not server.wait():
                fail(f"the server of {with_} does not answer: {server.last_words()} ({server.log})")
            with contextlib.redirect_stdout(out):
                _tell(server.url, with_, opening, as_json=as_json)
            if not no_browser and out.isatty():
                webbrowser.open(server.url)
            _stay(opening, server)
            fail(f"the server of {with_} has ended: {server.last_words()} ({server.log})")
        finally:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C leaves nothing running either
            if server is not None:
                server.end()
            opening.close()


def _tell(url: str, name: str, opening: Opening, *, as_json: bool) -> None:
    if as_json:
        runs = [one.run.shown for one in opening.opened]
        print_json({"url": url, "with": name, "folder": str(opening.folder), "runs": runs})
    else:
        count = len(opening.opened)
        say(url)
        say(f"{name} shows {count} run{'s' if count > 1 else ''}, and what they log while this goes on; Ctrl-C ends it")
    sys.stdout.flush()


def _stay(opening: Opening, server: Server) -> None:
    """Go on until the server ends, and say once of each run what keeps it from being shown."""
    told: set[str] = set()
    while not server.over:
        opening.look()
        for one in opening.opened:
            if (trouble := one.trouble) is not None and one.run.shown not in told:
                told.add(one.run.shown)
                say(f"{one.run.shown}: {trouble}", err=True)
        time.sleep(0.2)


@contextlib.contextmanager
def _until_stopped() -> Iterator[None]:
    """End quietly with Ctrl-C, with SIGTERM, and with the terminal."""

    def interrupt(*_: int | FrameType | None) -> None:
        raise KeyboardInterrupt

    handlers = {one: signal.signal(one, interrupt) for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    except KeyboardInterrupt:
        say("closed", err=True)
    finally:
        for one, handler in handlers.items():
            signal.signal(one, handler)


@contextlib.contextmanager
def _quiet() -> Iterator[TextIO]:
    """Yield the standard output, to which SDKs do not print their greetings meanwhile."""
    out = sys.stdout
    with open(os.devnull, "w", encoding="utf-8") as nowhere, contextlib.redirect_stdout(nowhere):
        yield out
