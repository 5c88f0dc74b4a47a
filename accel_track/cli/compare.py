"""`accel-track compare`: runs beside each other, by hyperparameters, metrics and curves; and over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from accel_track.cli._common import Json, RunsArgument, fail, find_all, one_line_errors, print_json, say
from accel_track.cli._plot import Curve, check_plots, draw
from accel_track.cli._sheet import print_sheet
from accel_track.cli.show import listed, metric_document, points_of
from accel_track.texts import counted

if TYPE_CHECKING:
    from accel_track.journal.directory import RunDirectory
    from accel_track.journal.info import RunInfo
    from accel_track.views.comparison import Figure, Group, Spread
    from accel_track.views.metric import Metric

_BESIDE = 4
"""Up to how many runs are columns; more are rows."""

_MOST = 12
"""The number of metrics that are compared without `--all` and `--metric`."""

_MOST_KEYS = 40
"""The number of hyperparameters that are compared without `--all`."""


@dataclass
class _Compared:
    """A run among others: who it is, what it is called, its hyperparameters, also as texts to compare, and metrics."""

    run: RunDirectory
    info: RunInfo
    label: str
    values: Mapping[str, Any]
    config: Mapping[str, str]
    metrics: Mapping[str, Metric]


def compare(
    runs: RunsArgument,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            "--metric",
            "-m",
            metavar="NAME",
            help="Compare only this metric, and draw its curves; a pattern such as 'val/*' chooses several.",
        ),
    ] = None,
    seeds: Annotated[
        bool, typer.Option("--seeds", help="Group runs that differ only in the seed; show mean and spread.")
    ] = False,
    ignore: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="With --seeds: a hyperparameter that may differ, too, or a pattern. May be repeated."
        ),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also show equal hyperparameters, and all metrics.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Compare runs: the hyperparameters that differ, and the last and best values of their metrics.

    Example: accel-track compare 3f9a2c 77c0de --metric "val/*"
    """
    if metric and not (as_json or seeds):
        check_plots("compare --metric")
    with one_line_errors():
        found = _read(runs, metric or [])
        names = _names(found, metric or [])
        if seeds:
            _over_seeds(found, names, ignore or [], as_json=as_json, limited=not (metric or everything))
        elif as_json:
            print_json(_document(found, names if metric else None, everything=everything))
        else:
            _print(found, names, everything=everything, limited=not (metric or everything))
            if metric:
                curves = [
                    Curve(f"{one.label} {name}" if len(names) > 1 else one.label, points_of(one.metrics[name]))
                    for name in names
                    for one in found
                    if name in one.metrics
                ]
                draw(f"{', '.join(metric)} by step", curves)


def _read(texts: Sequence[str], patterns: Sequence[str]) -> list[_Compared]:
    from accel_track.rules import any_of
    from accel_track.values.plain import flat_config
    from accel_track.views.comparison import texts_of
    from accel_track.views.content import Content

    fits = any_of(patterns)

    def wanted(name: str) -> bool:
        return name in patterns or (fits is not None and fits.fullmatch(name) is not None)

    directories = {run.path.absolute(): run for text in texts for run in find_all(text)}
    if len(directories) < 2:  # noqa: PLR2004 - one is compared with nothing
        fail("compare: name two runs or more; `accel-track show` shows one.")
    found = []
    for run in directories.values():
        content, info = Content(run, wanted=wanted), run.load()
        content.update()
        values = flat_config(content.config)
        found.append(_Compared(run, info, "", values, texts_of(values), content.metrics))
    _label(found)
    return found


def _label(runs: Sequence[_Compared]) -> None:
    """Call runs by their names, where these tell them apart, else by the last part of their ids or a number as well."""
    names = [one.info.name or one.info.run_id for one in runs]
    for one, name in zip(runs, names, strict=True):
        short = one.info.run_id.rsplit("-", 1)[-1]
        one.label = name if names.count(name) == 1 or name.endswith(short) else f"{name} {short}"
    labels = [one.label for one in runs]
    for number, one in enumerate(runs, start=1):
        if labels.count(one.label) > 1:  # copies of one run
            one.label += f" ({number})"


def _names(runs: Sequence[_Compared], patterns: Sequence[str]) -> list[str]:
    from accel_track.views.names import chosen

    there = {name for one in runs for name in one.metrics}
    try:
        return chosen(there, patterns) if patterns else sorted(there)
    except ValueError as error:
        fail(f"the runs: {error}")


def _print(runs: Sequence[_Compared], names: Sequence[str], *, everything: bool, limited: bool) -> None:
    from accel_track.views.comparison import MISSING, differing, figures

    configs, labels = [one.config for one in runs], [one.label for one in runs]
    keys = list(dict.fromkeys(name for one in configs for name in one)) if everything else differing(configs)
    if keys:
        rows = [[key, *(config.get(key, MISSING) for config in configs)] for key in keys]
        shown_keys = rows if everything else rows[:_MOST_KEYS]
        _print_runs("hyperparameters" if everything else "hyperparameters that differ", labels, shown_keys)
        if left := len(rows) - len(shown_keys):
            say(f"and {left:,} more that differ; --all shows them")
    else:
        say("hyperparameters: the same in all" if any(configs) else "hyperparameters: none were logged")
    compared = figures([one.metrics for one in runs], names)
    shown, left = _limited(compared, limited=limited)
    rows = [_figure_row(one, [one.of(run.metrics) for run in runs]) for one in shown]
    if rows:
        _print_runs("metrics", labels, rows)
        say("* the best one, by the metric's name")
    _tell_left(left)


def _limited(found: Sequence[Figure], *, limited: bool) -> tuple[list[Figure], int]:
    """Return the figures to show, and the number of metrics that are left out."""
    names = list(dict.fromkeys(one.metric for one in found))
    shown = names[:_MOST] if limited else names
    return [one for one in found if one.metric in shown], len(names) - len(shown)


def _tell_left(left: int) -> None:
    if left:
        say(f"and {left:,} more metrics; --all shows them, --metric chooses some")


def _figure_row(figure: Figure, values: Sequence[float | None]) -> list[str]:
    best = figure.best(values) if figure.what != "last" else None
    cells = [_number(value) + (" *" if value is not None and value == best else "") for value in values]
    return [f"{figure.metric} {figure.what}", *cells]


def _number(value: float | None) -> str:
    from accel_track.views.comparison import MISSING

    return MISSING if value is None else f"{value:.5g}"


def _print_runs(title: str, labels: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table whose columns are runs, or whose rows are, where they are many."""
    if len(labels) <= _BESIDE:
        print_sheet(title, ["", *labels], rows)
    else:
        columns = zip(labels, *(row[1:] for row in rows), strict=True)
        print_sheet(title, ["run", *(row[0] for row in rows)], [list(one) for one in columns])


def _over_seeds(
    runs: Sequence[_Compared], names: Sequence[str], ignore: Sequence[str], *, as_json: bool, limited: bool
) -> None:
    from accel_track.rules import any_of
    from accel_track.views.comparison import Spread, by_seed, figures

    left_out = any_of(ignore)
    groups = by_seed([one.config for one in runs], lambda name: left_out is not None and bool(left_out.fullmatch(name)))
    compared = figures([one.metrics for one in runs], names)
    if as_json:
        print_json([_group_document(one, runs, compared) for one in groups])
        return
    for number, group in enumerate(groups, start=1):
        said = ", ".join(f"{key}={value}" for key, value in group.config.items()) or "the same hyperparameters"
        runs_of = counted(len(group.runs), "run")
        seeds = f"seed{'' if len(group.seeds) == 1 else 's'} {', '.join(group.seeds)}"
        say(f"{_letter(number)}: {said}; {runs_of}, {seeds}")
    if all(len(group.runs) == 1 for group in groups):
        say("no two runs differ in the seed alone; --ignore leaves a hyperparameter out, such as a folder's name")
    shown, left = _limited(compared, limited=limited)
    rows: list[list[str]] = []
    for one in shown:
        spreads = [Spread.of(one.of(runs[number].metrics) for number in group.runs) for group in groups]
        rows.append([f"{one.metric} {one.what}", *map(_mean, spreads)])
        if any(spread is not None and spread.std is not None for spread in spreads):
            rows.append(["  lowest to highest", *map(_range, spreads)])
    if rows:
        print_sheet("mean ± standard deviation", ["", *map(_letter, range(1, len(groups) + 1))], rows)
    _tell_left(left)


def _letter(number: int) -> str:
    return f"group {number}"


def _mean(spread: Spread | None) -> str:
    from accel_track.views.comparison import MISSING

    if spread is None:
        return MISSING
    return f"{spread.mean:.4g}" + ("" if spread.std is None else f" ± {spread.std:.2g}")


def _range(spread: Spread | None) -> str:
    return "" if spread is None or spread.std is None else f"{spread.low:.4g} to {spread.high:.4g}"


def _group_document(group: Group, runs: Sequence[_Compared], compared: Sequence[Figure]) -> dict[str, Any]:
    from accel_track.views.comparison import Spread

    metrics: dict[str, dict[str, Any]] = {}
    for one in compared:
        spread = Spread.of(one.of(runs[number].metrics) for number in group.runs)
        metrics.setdefault(one.metric, {})[one.what] = None if spread is None else spread._asdict()
    return {
        "config": group.config,
        "seeds": group.seeds,
        "runs": [runs[number].run.shown for number in group.runs],
        "metrics": metrics,
    }


def _document(runs: Sequence[_Compared], drawn: Sequence[str] | None, *, everything: bool) -> dict[str, Any]:
    from accel_track.views.comparison import differing

    configs = [one.config for one in runs]
    keys = dict.fromkeys(name for one in configs for name in one) if everything else differing(configs)
    return {
        "differing": differing(configs),
        "runs": [
            {
                "path": one.run.shown,
                **{name: getattr(one.info, name) for name in ("run_id", "project", "name", "created")},
                "config": {key: one.values[key] for key in keys if key in one.values},
                "metrics": {name: metric_document(its, name) for name, its in one.metrics.items()},
                **({} if drawn is None else {"curves": _curves(one, drawn)}),
            }
            for one in runs
        ],
    }


def _curves(one: _Compared, drawn: Sequence[str]) -> dict[str, list[list[int | float]]]:
    return {name: listed(points_of(one.metrics[name])) for name in drawn if name in one.metrics}
