"""`accel-track show`: one run's identity, hyperparameters, metrics, media and deliveries, and curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from accel_track.cli._common import Json, RunArgument, ending, fail, find_run, one_line_errors, print_json
from accel_track.cli._plot import Curve, check_plots, draw
from accel_track.delivery.process.protocol import companion_states
from accel_track.mirror.mirrored import mirrored

if TYPE_CHECKING:
    from accel_track.delivery.status import TrackerStatus
    from accel_track.journal.directory import RunDirectory
    from accel_track.journal.info import RunInfo
    from accel_track.views.content import Content
    from accel_track.views.metric import Metric, Points


@dataclass
class Shown:
    """What is shown of a run.

    Attributes:
        run: The run directory.
        info: Its `run.json`.
        ended: `status` and `reason`.
        records: How many records all ranks have logged.
        states: Where its trackers stand, by name.
        looks: By tracker, the page of the backend run, or the command that shows it.
        content: What its journals hold.
    """

    run: RunDirectory
    info: RunInfo
    ended: Mapping[str, str | None]
    records: int
    states: Mapping[str, TrackerStatus]
    looks: Mapping[str, str]
    content: Content


def show(
    run: RunArgument,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            "--metric",
            "-m",
            metavar="NAME",
            help="Draw this metric; a pattern such as 'val/*' draws several. May be repeated.",
        ),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Show all rows of all tables, and the whole environment.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show one run: how it went, its hyperparameters, metrics and media, and what each tracker has of it.

    Example: accel-track show 3f9a2c --metric train/loss
    """
    patterns = metric or []
    if patterns and not as_json:
        check_plots("show --metric")
    with one_line_errors():
        shown = _shown(find_run(run), patterns)
        names = _chosen(shown.content, patterns)
        if as_json:
            print_json(_document(shown, names))
        elif patterns:
            curves = [Curve(name, points_of(shown.content.metrics[name])) for name in names]
            draw(f"{names[0] if len(names) == 1 else ', '.join(patterns)} by step", curves)
        else:
            from accel_track.cli._show_tables import print_run

            print_run(shown, everything=everything)


def _shown(run: RunDirectory, patterns: Sequence[str]) -> Shown:
    from accel_track.delivery.looking import looks
    from accel_track.delivery.status import status_of
    from accel_track.rules import any_of
    from accel_track.views.content import Content

    info, fits = run.load(), any_of(patterns)

    def wanted(name: str) -> bool:
        return name in patterns or (fits is not None and fits.fullmatch(name) is not None)

    content = Content(run, wanted=wanted)
    content.update()
    logged = content.ends
    states = {name: status_of(run, name, logged) for name in info.trackers}
    return Shown(run, info, ending(run, info), sum(logged.values()), states, looks(run), content)


def _chosen(content: Content, patterns: Sequence[str]) -> list[str]:
    from accel_track.views.names import chosen

    try:
        return chosen(content.metrics, patterns)
    except ValueError as error:
        fail(f"the run: {error}")


def points_of(metric: Metric) -> Points:
    """Return the points of all ranks, one rank after the other."""
    import numpy as np

    from accel_track.views.metric import Points

    found = [metric.points(rank) for rank in metric.ranks] or [metric.points()]
    return Points(*(np.concatenate(each) for each in zip(*found, strict=True)))


def metric_document(metric: Metric, name: str) -> dict[str, Any]:
    """Return a metric for JSON: the last value, and of its numbers the extremes and the better one of these."""
    from accel_track.views.names import good

    extremes = {"min": metric.minimum, "max": metric.maximum}
    best = extremes.get(good(name) or "")
    shown = {key: None if one is None else one._asdict() for key, one in {**extremes, "best": best}.items()}
    last = {} if metric.last is None else metric.last._asdict()
    return {**last, **shown, "count": metric.count, "not_finite": metric.not_finite}


def _document(shown: Shown, names: Sequence[str]) -> dict[str, Any]:
    run, info, content = shown.run, shown.info, shown.content
    trackers = {
        name: {
            **one.counts,
            "kwargs": info.trackers[name].kwargs,
            "identity": info.trackers[name].identity,
            "url": info.trackers[name].url,
            "look": shown.looks.get(name),
        }
        for name, one in shown.states.items()
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
        **shown.ended,
        "imported": msgspec.to_builtins(info.imported),
        "records": shown.records,
        "rewinds": content.rewinds,
        "damaged_bytes": content.damaged,
        "config": content.config,
        "environment": content.environment,
        "metrics": {name: metric_document(one, name) for name, one in content.metrics.items()},
        "media": content.media,
        "checkpoints": content.checkpoints,
        "artifacts": content.artifacts,
        "alerts": content.alerts,
        "trackers": trackers,
        "companions": [
            {"rank": rank, "log": str(run.rank(rank) / f"{stem}.log"), "state": one.state, **msgspec.to_builtins(one)}
            for rank, stem, one in companion_states(run)
        ],
    }
    if names:
        curves = {name: listed(points_of(content.metrics[name])) for name in names}
        document |= {"curves": curves, **({"points": curves[names[0]]} if len(names) == 1 else {})}
    return document


def listed(points: Points) -> list[list[int | float]]:
    """Return points for JSON: pairs of step and value."""
    return [list(pair) for pair in zip(points.steps.tolist(), points.values.tolist(), strict=True)]
