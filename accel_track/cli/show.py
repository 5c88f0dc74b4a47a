"""`accel-track show`: one run's identity, hyperparameters, last values and deliveries."""

from __future__ import annotations

import difflib
import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from accel_track.cli._common import (
    Json,
    RunArgument,
    console,
    ending,
    fail,
    find_run,
    jsonable,
    module_missing,
    one_line_errors,
    print_json,
    say,
    shown,
    size,
    table,
    when,
)
from accel_track.delivery.process.protocol import CompanionState, companion_states
from accel_track.journal.directory import RunDirectory
from accel_track.journal.info import RunInfo
from accel_track.mirror.mirrored import mirrored
from accel_track.texts import printable

if TYPE_CHECKING:
    from accel_track.delivery.status import TrackerStatus
    from accel_track.records import Artifact


_LONGEST = 200
"""How many characters of a hyperparameter are shown; `--json` has all."""


@dataclass
class _Content:
    """The content of a run's journals, in short."""

    config: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)
    last: dict[str, dict[str, Any]] = field(default_factory=dict)
    points: list[tuple[int, float]] = field(default_factory=list)
    checkpoints: dict[str, dict[str, Any]] = field(default_factory=dict)
    media: dict[str, dict[str, Any]] = field(default_factory=dict)
    artifacts: list[dict[str, Any]] = field(default_factory=list)
    rewinds: list[int] = field(default_factory=list)
    damaged: int = 0


def show(
    run: RunArgument,
    metric: Annotated[str | None, typer.Option(metavar="NAME", help="Draw this metric, such as train/loss.")] = None,
    as_json: Json = False,
) -> None:
    """Show one run: identity, hyperparameters, last values, and what is delivered to each tracker.

    Example: accel-track show 20260131 --metric train/loss
    """
    if metric is not None and not as_json:
        module_missing("show --metric", ["plotext"], "accel-track[demo]")
    with one_line_errors():
        from accel_track.delivery.status import records, status_of

        found = find_run(run)
        info = found.load()
        logged = records(found)
        states = {name: status_of(found, name, logged) for name in info.trackers}
        content = _read(found, metric)
        if metric is not None and metric not in content.last:
            near = difflib.get_close_matches(metric, content.last, n=3, cutoff=0.4)
            fail(f"the run has no metric {metric!r}" + (f"; there is {', '.join(near)}." if near else "."))
        if as_json:
            print_json(_document(found, info, ending(found, info), sum(logged.values()), states, content, metric))
        elif metric is not None:
            _draw(metric, content.points)
        else:
            _print(found, info, ending(found, info), sum(logged.values()), states, content)


def _read(run: RunDirectory, metric: str | None) -> _Content:  # noqa: C901 - one kind of record after the other
    from accel_track.journal.reader import History, JournalReader
    from accel_track.records import Artifact, Checkpoint, Config, Metrics, media_in
    from accel_track.values.plain import leaves

    content = _Content()
    for rank in run.ranks():
        history, reader = History(run.rank(rank)), JournalReader(run.rank(rank))
        content.rewinds += [one.step for one in history.rewinds]
        for record in filter(history.counts, reader):
            if isinstance(record, Config):
                (content.environment if record.environment else content.config).update(record.values)
            elif isinstance(record, Checkpoint):
                content.checkpoints[record.name] = {"step": record.step, "about": record.values}
                if not (record.path or record.values):
                    del content.checkpoints[record.name]
            elif isinstance(record, Artifact):
                content.artifacts.append(_about(record))
            if not isinstance(record, Metrics):
                continue
            for name, value in leaves(record.values):
                where = {"step": record.step, "time": record.time, "rank": rank}
                if found := list(media_in(value)):
                    before = content.media.get(name, {"count": 0})["count"]
                    about = {"kind": found[0].kind, "count": before + len(found)}
                    content.media[name] = {**about, "last": value, **where}
                    continue
                content.last[name] = {"value": value, **where}
                if name == metric and isinstance(value, (int, float)):
                    content.points.append((record.seq if record.step is None else record.step, value))
        content.damaged += reader.damaged()
    return content


def _about(record: Artifact) -> dict[str, Any]:
    about = {"name": record.name, "type": record.type, "step": record.step, "path": record.path}
    total = sum(count for count, _ in record.files.values())
    return {**about, "files": len(record.files), "bytes": total, "about": record.values}


def _document(
    run: RunDirectory,
    info: RunInfo,
    ended: dict[str, str | None],
    records: int,
    states: dict[str, TrackerStatus],
    content: _Content,
    metric: str | None,
) -> dict[str, Any]:
    trackers = {
        name: {
            **one.counts,
            "kwargs": info.trackers[name].kwargs,
            "identity": info.trackers[name].identity,
            "url": info.trackers[name].url,
        }
        for name, one in states.items()
    }
    document = {
        "path": run.shown,
        "mirror": info.mirror,
        "mirrored": {
            rank: msgspec.to_builtins(one) for rank in run.ranks() if (one := mirrored(run, rank)) is not None
        },
        **{
            name: getattr(info, name)
            for name in ("run_id", "project", "name", "parent", "created", "host", "pid", "command", "tags", "note")
        },
        **ended,
        "imported": msgspec.to_builtins(info.imported),
        "records": records,
        "rewinds": content.rewinds,
        "damaged_bytes": content.damaged,
        "config": content.config,
        "environment": content.environment,
        "metrics": content.last,
        "media": content.media,
        "checkpoints": content.checkpoints,
        "artifacts": content.artifacts,
        "trackers": trackers,
        "companions": [
            {"rank": rank, "log": str(run.rank(rank) / f"{stem}.log"), "state": one.state, **msgspec.to_builtins(one)}
            for rank, stem, one in companion_states(run)
        ],
    }
    return document if metric is None else {**document, "points": content.points}


def _print(  # noqa: C901 - one table after the other
    run: RunDirectory,
    info: RunInfo,
    ended: dict[str, str | None],
    records: int,
    states: dict[str, TrackerStatus],
    content: _Content,
) -> None:
    from accel_track.values.plain import flat_config

    out = console()
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
        "records": records,
    }
    for key, value in identity.items():
        say(f"{key:8} {value}")
    for step in content.rewinds:
        say(f"rewound  to step {step}: what had been logged from there on is left out")
    if content.damaged:
        say(f"damaged  {content.damaged} bytes of the journal; see `accel-track verify {run.path}`")
    for title, entries in (("hyperparameters", content.config), ("environment", content.environment)):
        if entries:
            flat = ((name, _short(value)) for name, value in flat_config(entries).items())
            out.print(table(title, ("name", "value"), flat))
    if content.last:
        values = ((name, shown(last["value"]), _text(last["step"])) for name, last in sorted(content.last.items()))
        out.print(table("last values", ("name", ">value", ">step"), values))
    if content.media:
        kinds = ((name, one["kind"], one["count"], _text(one["step"])) for name, one in sorted(content.media.items()))
        out.print(table("media", ("name", "kind", ">logged", ">last step"), kinds))
    if content.artifacts:
        titles = ("name", "type", ">files", ">size", ">step", "path")
        out.print(table("artifacts", titles, map(_artifact, content.artifacts)))
    if content.checkpoints:
        kept = content.checkpoints.items()
        saved = ((name, _text(one["step"]), _short(one["about"])) for name, one in kept)
        out.print(table("checkpoints", ("name", ">step", "about"), saved))
    if states:
        columns = (
            "tracker",
            ">delivered",
            ">pending",
            ">quarantined",
            ">dropped",
            ">retried",
            ">damaged",
            ">lag",
            "page",
        )
        rows = [_row(name, one, info.trackers[name].url or "") for name, one in states.items()]
        out.print(table("delivery", columns, rows))
    for rank, stem, one in companion_states(run):
        for line in _companion(run, rank, stem, one):
            say(line)


def _origin(info: RunInfo) -> dict[str, object]:
    """Return which process has logged the run, or where it was imported from."""
    found = info.imported
    if found is None:
        return {"host": f"{info.host}, process {info.pid}", "command": " ".join(info.command)}
    lost = ", ".join(f"{count} {what}" for what, count in found.lost.items())
    lines: dict[str, object] = {"imported": f"from {found.source}, {found.place}, run {found.id}"}
    lines |= {} if found.dated else {"dates": "the source does not tell when the run began"}
    return lines | ({"lost": lost} if lost else {})


def _mirror(run: RunDirectory, info: RunInfo) -> str:
    """Return how far the mirror is, for people."""
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


def _row(name: str, one: TrackerStatus, url: str) -> tuple[object, ...]:
    dropped = ", ".join(f"{count} {value}" for value, count in sorted(one.dropped.items()))
    dropped = ", ".join(filter(None, [dropped, f"{one.unkept} checkpoints not kept there" * bool(one.unkept)])) or "0"
    waiting = "" if one.lag is None else f"{one.lag:.0f} s"
    return name, one.delivered, one.pending, one.quarantined, dropped, one.retried, f"{one.damaged} B", waiting, url


def _artifact(one: dict[str, Any]) -> tuple[object, ...]:
    return one["name"], one["type"], one["files"], size(one["bytes"]), _text(one["step"]), one["path"]


def _short(value: Any) -> str:
    text = json.dumps(jsonable(value), ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _draw(metric: str, points: list[tuple[int, float]]) -> None:
    import plotext

    finite = [(step, value) for step, value in points if math.isfinite(value)]
    if not finite:
        fail(f"{metric} has no finite number to draw.")
    out = console()
    steps, values = zip(*finite, strict=True)
    figure = plotext.figure
    figure.clear()
    figure.draw(figure.signal(list(steps), list(values)).lines().label(printable(metric)))
    figure.title(f"{printable(metric)} by step")
    figure.plot_size(min(out.width, 100), 18)
    typer.echo(figure.build().string(colorless=not out.is_terminal))  # `show` keeps the stdout of its first call
    if len(finite) < len(points):
        say(f"{len(points) - len(finite)} points are NaN or infinite and not drawn")
