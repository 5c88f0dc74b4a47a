"""The print of `accel-track show`: lines with the facts of a run, and tables of its content."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from accel_track.cli._common import console, jsonable, say, shown, size, table, when
from accel_track.cli.alerts import alerts_table
from accel_track.delivery.process.protocol import CompanionState, companion_states
from accel_track.mirror.mirrored import mirrored
from accel_track.texts import counted, printable
from accel_track.views.names import good

if TYPE_CHECKING:
    from rich.table import Table

    from accel_track.cli.show import Shown
    from accel_track.delivery.status import TrackerStatus
    from accel_track.journal.directory import RunDirectory
    from accel_track.journal.info import RunInfo
    from accel_track.views.metric import At, Metric

_LONGEST = 200
"""The number of characters of a hyperparameter that are shown; `--json` has all."""

_MOST = 50
"""The number of rows of a table without `--all`."""


def print_run(one: Shown, *, everything: bool) -> None:
    """Print everything about a run but its points.

    Args:
        one: The run.
        everything: Whether tables have all rows, and the environment is whole.
    """
    from accel_track.values.plain import flat_config

    _print_identity(one)
    content, most = one.content, None if everything else _MOST
    environment = content.environment if everything else _in_short(content.environment)
    for title, values in (("hyperparameters", content.config), ("environment", environment)):
        if values:
            flat = [(name, _short(value)) for name, value in flat_config(values).items()]
            _print_table(title, ("name", "value"), flat, most)
    if content.metrics:
        _print_metrics(content.metrics, most)
    if content.alerts:
        console().print(alerts_table(content.alerts))
    if content.media:
        kinds = [(name, its["kind"], its["count"], _text(its["step"])) for name, its in sorted(content.media.items())]
        _print_table("media", ("name", "kind", ">logged", ">last step"), kinds, most)
    if content.artifacts:
        titles = ("name", "type", ">files", ">size", ">step", "path")
        _print_table("artifacts", titles, [_artifact(its) for its in content.artifacts], most)
    if content.checkpoints:
        saved = [(name, _text(its["step"]), _short(its["about"])) for name, its in content.checkpoints.items()]
        _print_table("checkpoints", ("name", ">step", "about"), saved, most)
    _print_delivery(one)


def _print_delivery(one: Shown) -> None:
    if one.states:
        columns = ("tracker", ">delivered", ">pending", ">quarantined", "besides")
        _print_table("delivery", columns, [_row(its) for its in one.states.values()], None)
    for rank, stem, its in companion_states(one.run):
        for line in _companion(one.run, rank, stem, its):
            say(line)
    for look in one.looks.values():
        say(f"look at it: {look}")


def _print_identity(one: Shown) -> None:
    run, info, ended = one.run, one.info, one.ended
    identity = {
        "run": info.run_id,
        "project": info.project,
        "name": info.name or "",
        **({"parent": _parent(run, info)} if info.parent else {}),
        **({"tags": ", ".join(info.tags)} if info.tags else {}),
        **({"note": info.note} if info.note else {}),
        "status": f"{ended['status']} ({ended['reason']})" if ended["reason"] else ended["status"],
        "created": f"{when(info.created)} UTC",
        **_origin(info),
        "folder": run.shown,
        **({"mirror": _mirror(run, info)} if info.mirror else {}),
        "records": one.records,
    }
    for key, value in identity.items():
        say(f"{key:8} {value}")
    for step in dict.fromkeys(one.content.rewinds):  # each rank has noted it
        say(f"rewound  to step {step}: what had been logged from there on is left out")
    if one.content.damaged:
        say(f"damaged  {one.content.damaged} bytes of the journal; see `accel-track verify {run.path}`")


def _print_table(title: str, columns: Sequence[str], rows: Sequence[Iterable[object]], most: int | None) -> None:
    console().print(table(title, columns, islice(rows, most)))
    _tell_more(title, len(rows), most)


def _tell_more(title: str, count: int, most: int | None) -> None:
    if most is not None and count > most:
        say(f"and {count - most:,} more {title}; --all shows them")


def _print_metrics(metrics: dict[str, Metric], most: int | None) -> None:
    """Print a table that fits 80 columns: only names are broken."""
    out, names = console(), sorted(metrics)
    out.print(metrics_table([(name, metrics[name]) for name in names[:most]]))
    if any(good(name) and metrics[name].minimum is not None for name in names[:most]):
        say("* the best one, by the metric's name")
    if not_finite := sum(one.not_finite for one in metrics.values()):
        say(f"values that are NaN or infinite: {not_finite:,}")
    _tell_more("metrics", len(names), most)


def metrics_table(metrics: Iterable[tuple[str, Metric]]) -> Table:
    """Return the table of metrics: last value, extremes with their steps, and how many numbers there are."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    result = Table(title="metrics", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    result.add_column("name", overflow="fold", min_width=10)
    for column in ("last", "min @step", "max @step", "points"):
        result.add_column(column, justify="right", no_wrap=True)
    for name, metric in metrics:
        best, last = good(name), "" if metric.last is None else _value(metric.last.value)
        low, high = (_at(one, is_best=best == word) for word, one in (("min", metric.minimum), ("max", metric.maximum)))
        result.add_row(*(Text(printable(one)) for one in (name, last, low, high, f"{metric.count:,}")))
    return result


def _value(value: Any) -> str:
    text = f"{value:.5g}" if isinstance(value, float) else shown(value)
    return text if len(text) <= 24 else f"{text[:23]}…"  # noqa: PLR2004 - what a column has


def _at(found: At | None, *, is_best: bool) -> str:
    if found is None:
        return ""
    where = "" if found.step is None else f" @{found.step}"
    return f"{found.value:.5g}{where}{' *' if is_best else ''}"


def _in_short(environment: dict[str, Any]) -> dict[str, Any]:
    """Return the environment with how many values long lists have in place of these."""
    if isinstance(environment, dict):
        return {name: _in_short(value) for name, value in environment.items()}
    if isinstance(environment, list) and len(environment) > 5:  # noqa: PLR2004 - such as packages
        return f"{len(environment)} of them; --all shows them"
    return environment


def _origin(info: RunInfo) -> dict[str, object]:
    """Return the process that has logged the run, or the origin of an imported run."""
    found = info.imported
    if found is None:
        host = {"host": f"{info.host}, process {info.pid}"} if info.host else {}
        return {**host, **({"command": " ".join(info.command)} if info.command else {})}
    lost = ", ".join(f"{count} {what}" for what, count in found.lost.items())
    lines: dict[str, object] = {"imported": f"from {found.source}, {found.place}, run {found.id}"}
    lines |= {} if found.dated else {"dates": "the source does not tell when the run began"}
    return lines | ({"lost": lost} if lost else {})


def _mirror(run: RunDirectory, info: RunInfo) -> str:
    """Return the progress of the mirror, for people."""
    found = [one for rank in run.ranks() if (one := mirrored(run, rank)) is not None]
    lacking, times = sum(one.lacking for one in found), [one.time for one in found]
    if not found or None in times:
        return f"{info.mirror}: nothing was copied yet" if found else f"{info.mirror}"
    since = min(one for one in times if one is not None)
    far = f"lacks {size(lacking)} that came" if lacking else "has everything"
    error = next((f" ({one.error})" for one in found if one.error), "")
    return f"{info.mirror}: {far} {'since' if lacking else 'as of'} {when(since)} UTC{error}"


def _parent(run: RunDirectory, info: RunInfo) -> str:
    from accel_track.delivery.family import parent_of

    parent = parent_of(run, info)
    return f"{info.parent} (gone)" if parent is None else f"{info.parent} ({parent.name})"


def _companion(run: RunDirectory, rank: int, stem: str, one: CompanionState) -> list[str]:
    states = {
        "over": "has delivered everything that it could",
        "running": "is delivering",
        "elsewhere": f"was delivering on {one.host}",
        "gone": "is gone; `accel-track sync` delivers what is pending",
    }
    text = f"companion of rank {rank}: process {one.pid} {states[one.state]}"
    text += f"; started {one.starts} times" if one.starts > 1 else ""
    errors = [f"  {name}: {its.error}" for name, its in one.trackers.items() if its.error]
    return [text, *errors, f"  log: {run.rank(rank) / f'{stem}.log'}"]


def _row(one: TrackerStatus) -> tuple[object, ...]:
    besides = [f"dropped: {count} {value}" for value, count in sorted(one.dropped.items())]
    besides += [f"{counted(one.unkept, 'checkpoint')} not kept there"] if one.unkept else []
    besides += [f"{one.not_replayable} without portable form"] if one.not_replayable else []
    besides += [f"{one.under_way} under way"] if one.under_way else []
    besides += [f"{counted(one.retried, 'call')} repeated"] if one.retried else []
    besides += [f"{one.damaged} B damaged"] if one.damaged else []
    besides += [] if one.lag is None else [f"{one.lag:.0f} s behind"]
    return one.name, one.delivered, one.pending, one.quarantined, ", ".join(besides)


def _artifact(one: dict[str, Any]) -> tuple[object, ...]:
    return one["name"], one["type"], one["files"], size(one["bytes"]), _text(one["step"]), one["path"]


def _short(value: Any) -> str:
    value = jsonable(value)  # NaN is a text then
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _text(value: object) -> str:
    return "" if value is None else str(value)
