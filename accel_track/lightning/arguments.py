"""Arguments of Lightning's own loggers: what each of them means to an AccelTrackLogger."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from accel_track.lightning.names import DEFAULT
from accel_track.registry import Selected
from accel_track.values.structures import without_omegaconf

_LOCAL = frozenset(("aim", "console", "dvclive", "jsonl", "tensorboard", "trackio"))
"""Trackers that go to no network by themselves."""

_INIT = "goes to one tracker: init_kwargs={{{!r}: {{{!r}: …}}}}."
HINTS: Mapping[str, str] = {
    **{one: _INIT.format("wandb", one) for one in ("id", "entity", "job_type", "anonymous", "notes", "settings")},
    **{one: _INIT.format("tensorboard", one) for one in ("comment", "purge_step", "max_queue", "flush_secs")},
    **{one: _INIT.format("comet_ml", one) for one in ("api_key", "workspace", "experiment_key", "rest_api_key")},
    **{one: _INIT.format("aim", one) for one in ("system_tracking_interval", "capture_terminal_logs")},
    "experiment": "is called `name` here.",
    "project_name": "is called `name` here.",
    "repo": "is called `save_dir` here.",
    "dir": "is called `save_dir` here.",
    "flush_logs_every_n_steps": "has no counterpart: what is logged is in the journal at once; leave it out.",
    "checkpoint_name": "has no counterpart: checkpoints are called as their files are; leave it out.",
    "synchronous": "has no counterpart: delivery is in the background anyway; leave it out.",
}
"""The hints about arguments of other loggers that do not exist here."""


def named(
    name: str | None, version: Any, project: str | None, experiment_name: str | None, run_name: str | None
) -> tuple[str | None, Any]:
    """Return `name` and `version`, given what Lightning's other loggers call the project and the run.

    Args:
        name: Of the project; beside `project`, of the run, as WandbLogger has it.
        version: Of the run.
        project: Of the project.
        experiment_name: Of the project.
        run_name: Of the run.

    Raises:
        ValueError: Two of them name the same.
    """
    of_project = {
        "project": project,
        "experiment_name": experiment_name,
        "name": None if project or name == DEFAULT else name,
    }
    of_run = {
        "version": version,
        "run_name": run_name,
        "name": name if project and name != DEFAULT else None,
    }
    name_given, version_given = _one(of_project, "the project"), _one(of_run, "the run")
    return (name if name_given is None else name_given), version_given


def _one(given: Mapping[str, Any], what: str) -> Any:
    there = {argument: value for argument, value in given.items() if value not in (None, "")}
    if len(there) > 1:
        message = f"{' and '.join(f'`{one}`' for one in there)} both name {what}; give one of them."
        raise ValueError(message)
    return next(iter(there.values()), given.get("version"))


def no_models(log_model: Any) -> None:
    """Refuse `log_model`, for which the callback is there.

    Raises:
        ValueError: It is not False.
    """
    if log_model:
        kind = "all" if log_model == "all" else "best"
        message = f"`log_model`: give the Trainer `AccelTrackCallback(log_checkpoints={kind!r})` instead."
        raise ValueError(message)


def with_native(
    init_kwargs: Mapping[str, Mapping[str, Any]] | None, selected: Sequence[Selected], given: Mapping[str, Any]
) -> Mapping[str, Mapping[str, Any]] | None:
    """Return constructor arguments by tracker name, with what Lightning's loggers take for one backend.

    Args:
        init_kwargs: What the user gave for the constructors, which wins.
        selected: The trackers.
        given: `offline`, `group`, `tags`, `tracking_uri`, `artifact_location` and `run_id`; what is None or empty does
            not count.

    Raises:
        ValueError: No tracker knows an argument; with `offline`, one of them does not.
    """
    names = [one.name for one in selected if one.instance is None]
    more: dict[str, dict[str, Any]] = {}
    for argument, value in given.items():
        if not value:
            continue
        takers = {name: _TAKERS[argument][name] for name in names if name in _TAKERS[argument]}
        if not takers and argument != "offline":
            _refuse(argument, [one.name for one in selected])
        for name, taker in takers.items():
            more.setdefault(name, {}).update(taker(without_omegaconf(value)))
    if given.get("offline"):
        _check_offline(selected, {**more, **(init_kwargs or {})})
    if not more:
        return init_kwargs
    return {
        name: {**more.get(name, {}), **(init_kwargs or {}).get(name, {})} for name in {**more, **(init_kwargs or {})}
    }


def _refuse(argument: str, names: Iterable[str]) -> None:
    knowing = ", ".join(_TAKERS[argument])
    message = f"`{argument}` is for {knowing}, and the trackers are {', '.join(names) or 'none'}; leave it out."
    raise ValueError(message)


def _check_offline(selected: Sequence[Selected], kwargs: Mapping[str, Mapping[str, Any]]) -> None:
    for one in selected:
        known = one.instance is None and one.name in _TAKERS["offline"]
        if not (known or one.name in _LOCAL or (one.name == "mlflow" and one.instance is None and _here(kwargs))):
            message = (
                f"`offline`: {one.name} has no such setting. Leave it out, and use delivery='none' to log to the "
                "journal only, for `accel-track sync`."
            )
            raise ValueError(message)


def _here(kwargs: Mapping[str, Mapping[str, Any]]) -> bool:
    """Return whether MLflow's database is on this machine."""
    uri = kwargs.get("mlflow", {}).get("tracking_uri") or os.environ.get("MLFLOW_TRACKING_URI")
    return uri is None or str(uri).startswith(("sqlite:", "file:", "/", "."))


def _texts(tags: Any) -> list[str]:
    if isinstance(tags, Mapping):
        return [f"{key}:{value}" for key, value in tags.items()]
    return [tags] if isinstance(tags, str) else list(map(str, tags))


def _dictionary(tags: Any) -> dict[str, Any]:
    return dict(tags) if isinstance(tags, Mapping) else dict.fromkeys(_texts(tags), "")


def _as(argument: str) -> Callable[[Any], dict[str, Any]]:
    return lambda value: {argument: value}


def _tags(value: Any) -> dict[str, Any]:
    return {"tags": _texts(value)}


_TAKERS: dict[str, dict[str, Callable[[Any], dict[str, Any]]]] = {
    "tracking_uri": {"mlflow": _as("tracking_uri")},
    "artifact_location": {"mlflow": _as("logging_dir")},
    "run_id": {"mlflow": _as("run_id")},
    "group": {"wandb": _as("group"), "swanlab": _as("group"), "trackio": _as("group")},
    "tags": {
        "wandb": _tags,
        "swanlab": _tags,
        "clearml": _tags,
        "mlflow": lambda value: {"tags": _dictionary(value)},
    },
    "offline": {
        "wandb": lambda _: {"mode": "offline"},
        "swanlab": lambda _: {"mode": "offline"},
        "comet_ml": lambda _: {"online": False},
    },
}
"""The name and value of each argument for the trackers that know it."""
