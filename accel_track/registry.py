"""The registry: trackers by name, and the way from names to trackers that are ready to start."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import Enum
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal, NewType, TypeVar, overload

from accel_track.errors import MissingPackageError, NotConfiguredError, warn
from accel_track.folders import expanded, is_address
from accel_track.trackers.aim.tracker import AimTracker
from accel_track.trackers.base import GeneralTracker
from accel_track.trackers.clearml.tracker import ClearMLTracker
from accel_track.trackers.comet.tracker import CometMLTracker
from accel_track.trackers.console import ConsoleTracker
from accel_track.trackers.dvclive.tracker import DVCLiveTracker
from accel_track.trackers.installing import install_command
from accel_track.trackers.jsonl import JsonlTracker
from accel_track.trackers.mlflow.tracker import MLflowTracker
from accel_track.trackers.swanlab.tracker import SwanLabTracker
from accel_track.trackers.tensorboard.tracker import TensorBoardTracker
from accel_track.trackers.trackio.tracker import TrackioTracker
from accel_track.trackers.wandb.tracker import WandBTracker
from accel_track.values.plain import check_name
from accel_track.values.structures import without_omegaconf

ENTRY_POINT_GROUP = "accel_track.trackers"

ClassT = TypeVar("ClassT", bound=type[GeneralTracker])


class LoggerType(str, Enum):
    """The names of the built-in backends, and `ALL` for every installed one.

    The members are `AIM`, `CLEARML`, `COMETML`, `CONSOLE`, `DVCLIVE`, `JSONL`, `MLFLOW`, `SWANLAB`, `TENSORBOARD`,
    `TRACKIO` and `WANDB`. Each equals its backend's name as a text: `LoggerType.WANDB == "wandb"`.
    """

    ALL = "all"
    AIM = "aim"
    CLEARML = "clearml"
    COMETML = "comet_ml"
    CONSOLE = "console"
    DVCLIVE = "dvclive"
    JSONL = "jsonl"
    MLFLOW = "mlflow"
    SWANLAB = "swanlab"
    TENSORBOARD = "tensorboard"
    TRACKIO = "trackio"
    WANDB = "wandb"

    def __str__(self) -> str:
        """Return the backend's name."""
        return self.value


BackendName = Literal[
    "all",
    "aim",
    "clearml",
    "comet_ml",
    "console",
    "dvclive",
    "jsonl",
    "mlflow",
    "swanlab",
    "tensorboard",
    "trackio",
    "wandb",
]
"""The names that type checkers know: those of `LoggerType`."""

TrackerName = NewType("TrackerName", str)
"""The type of the name of a plugin or a registered class, for type checkers: `log_with=TrackerName("my_name")`."""

_Tracker = BackendName | TrackerName | LoggerType | GeneralTracker

LogWith = _Tracker | Sequence[_Tracker] | None
"""The type of `log_with` in every front door.

At run time, any text is looked up. For type checkers, a literal must be one of `BackendName`. Turn a variable of type
`str` into a `LoggerType`, whose call raises an error for an unknown backend, or into a `TrackerName`.
"""

LOGGER_TYPE_TO_CLASS: dict[str, type[GeneralTracker]] = {
    "aim": AimTracker,
    "comet_ml": CometMLTracker,
    "mlflow": MLflowTracker,
    "tensorboard": TensorBoardTracker,
    "wandb": WandBTracker,
    "clearml": ClearMLTracker,
    "dvclive": DVCLiveTracker,
    "swanlab": SwanLabTracker,
    "trackio": TrackioTracker,
    "jsonl": JsonlTracker,
    "console": ConsoleTracker,
}
"""Tracker classes by name: the built-in ones and those registered since."""


@overload
def register_tracker_class(tracker_class: ClassT, *, name: str | None = None) -> ClassT: ...
@overload
def register_tracker_class(tracker_class: None = None, *, name: str | None = None) -> Callable[[ClassT], ClassT]: ...
def register_tracker_class(
    tracker_class: ClassT | None = None, *, name: str | None = None
) -> ClassT | Callable[[ClassT], ClassT]:
    """Register a tracker class under a name for `log_with`, by a call or as a decorator, `@register_tracker_class`.

    Args:
        tracker_class: A subclass of `GeneralTracker`, whose `for_run` constructs the tracker of a run.
        name: The name for `log_with`. Default: the class's `name`.

    Returns:
        The class, unchanged.

    Raises:
        ValueError: `tracker_class` is not a subclass of `GeneralTracker`, or the name is missing, empty or "all".
    """
    if tracker_class is None:
        return lambda decorated: register_tracker_class(decorated, name=name)
    if not (isinstance(tracker_class, type) and issubclass(tracker_class, GeneralTracker)):
        message = f"`register_tracker_class` takes a subclass of GeneralTracker; got {tracker_class!r}."
        raise ValueError(message)  # noqa: TRY004 - one error for all that cannot be registered
    key = name or getattr(tracker_class, "name", None)
    if not isinstance(key, str) or not key or key == LoggerType.ALL:
        message = f"{tracker_class.__name__} cannot be registered as {key!r}: give it a `name` other than 'all'."
        raise ValueError(message)
    if LOGGER_TYPE_TO_CLASS.get(key, tracker_class) is not tracker_class:
        replaced = LOGGER_TYPE_TO_CLASS[key].__qualname__
        warn(f"tracker {key!r}: {tracker_class.__qualname__} takes the place of {replaced}.")
    LOGGER_TYPE_TO_CLASS[key] = tracker_class
    return tracker_class


_ADAPTERS = {("accelerate.tracking", "GeneralTracker"): "accel_track.bridges.accelerate_trackers"}
"""The modules whose `adapted` makes a tracker of another library's, by the module and name of its base class."""


def _adapted(entry: Any) -> Any:
    """Return the tracker that stands for another library's tracker; any other entry comes back unchanged.

    As long as the library is not imported, no entry can be one of its trackers.
    """
    for (module, name), home in _ADAPTERS.items():
        base = getattr(sys.modules.get(module), name, None)
        if isinstance(base, type) and isinstance(entry, base):
            return import_module(home).adapted(entry)
    return entry


def _plugins() -> dict[str, EntryPoint]:
    """Return the entry points of third-party trackers by name, without those whose name a registered class has."""
    found = entry_points(group=ENTRY_POINT_GROUP)
    return {point.name: point for point in found if point.name not in LOGGER_TYPE_TO_CLASS}


def known_names() -> list[str]:
    """Return all names that `log_with` takes, sorted, without "all"."""
    return sorted({*LOGGER_TYPE_TO_CLASS, *_plugins()})


def tracker_class(name: str) -> type[GeneralTracker]:
    """Return the tracker class of a name. The class of a plugin is imported.

    Args:
        name: Name of the tracker.

    Raises:
        ValueError: The name is unknown.
        TypeError: The plugin's entry point is not a subclass of `GeneralTracker`.
    """
    if name in LOGGER_TYPE_TO_CLASS:
        return LOGGER_TYPE_TO_CLASS[name]
    plugins = _plugins()
    if name not in plugins:
        message = f"`log_with` names the unknown tracker {name!r}; known are {', '.join(known_names())} and 'all'."
        raise ValueError(message)
    loaded = plugins[name].load()
    if not (isinstance(loaded, type) and issubclass(loaded, GeneralTracker)):
        message = f"the plugin {plugins[name].value!r} for the tracker {name!r} is not a subclass of GeneralTracker."
        raise TypeError(message)
    return loaded


def get_available_trackers() -> list[str]:
    """Return the names for which "all" stands: those of all backends whose package is installed, and of all plugins.

    Neither SDKs nor plugins are imported.
    """
    return [name for name in known_names() if (cls := LOGGER_TYPE_TO_CLASS.get(name)) is None or _available(cls)]


def _available(cls: type[GeneralTracker]) -> bool:
    return cls.in_all and cls.installed()


@dataclass(frozen=True)
class Selected:
    """One tracker that the user asked for, an instance or a name; `explicit` is false if only "all" stands for it."""

    name: str
    instance: GeneralTracker | None = None
    explicit: bool = True


Missing = Literal["raise", "skip", "keep"]
"""The treatment of a named backend whose package is missing."""


def select(
    log_with: LogWith, logging_dir: str | os.PathLike[str] | None = None, *, missing: Missing = "raise"
) -> list[Selected]:
    """Return the trackers that `log_with` asks for, checked, in their order, without duplicates.

    An instance takes the place of the backend with its name. "all" leaves out backends that are not installed and, with
    a warning, those that lack a folder.

    Args:
        log_with: A name, a `LoggerType`, a tracker instance (also one of Hugging Face accelerate's), a list of these,
            or None. "all" stands for every installed backend.
        logging_dir: The logging directory, or None.
        missing: The treatment of named backends whose packages are missing: "raise" an error, "skip" them with a
            warning that has the command to install them, or "keep" them, if they are not needed here.

    Raises:
        TypeError: An entry is none of these.
        ValueError: A name is unknown or unusable as a folder name, or a named backend needs a directory and
            `logging_dir` is None.
        MissingPackageError: With "raise", packages are missing; the message names all of them and the commands to
            install them.
    """
    logging_dir = None if logging_dir is None else expanded(logging_dir, "logging_dir", or_address=True)
    several = isinstance(log_with, (Sequence, AbstractSet)) and not isinstance(log_with, (str, GeneralTracker))
    given: list[Any] = [] if log_with is None else list(log_with) if several else [log_with]  # type: ignore[arg-type]
    asked = [_adapted(one) for one in given]
    taken = {tracker.name for tracker in asked if isinstance(tracker, GeneralTracker)}
    selected: list[Selected] = []
    problems: list[str] = []
    for entry in asked:
        if isinstance(entry, GeneralTracker):
            if not any(one.instance is entry for one in selected):
                selected.append(_checked_instance(entry))
        elif not isinstance(entry, str):
            message = (
                f"`log_with` takes names, LoggerType members and instances of GeneralTracker; got {entry!r} "
                f"({type(entry).__name__}). Known names: {', '.join(known_names())}."
            )
            raise TypeError(message)
        elif entry != LoggerType.ALL and str(entry) not in taken:
            taken.add(str(entry))
            if (problem := _lacking(str(entry), logging_dir)) is None or missing == "keep":
                selected.append(Selected(str(entry)))
            else:
                problems.append(f"{entry}: {problem}")
    if problems and missing == "raise":
        raise MissingPackageError("\n".join(problems))
    for problem in problems:
        _warn(problem.replace(": ", ": skipped, since ", 1))
    return selected + (_all_else(taken, logging_dir) if LoggerType.ALL in asked else [])


def _checked_instance(tracker: GeneralTracker) -> Selected:
    if check_name(tracker.name, f"{type(tracker).__name__}.name") != tracker.name:
        message = f"{type(tracker).__name__}: its name {tracker.name!r} is no text; give it a plain one."
        raise ValueError(message)
    return Selected(tracker.name, tracker)


def _all_else(taken: Collection[str], logging_dir: str | os.PathLike[str] | None) -> list[Selected]:
    """Return the trackers that "all" adds to the named ones."""
    selected = []
    for name in get_available_trackers():
        cls = LOGGER_TYPE_TO_CLASS.get(name)  # a plugin is looked at when the run starts, not imported for this
        if name not in taken and not (cls is not None and _skipped_without_folder(cls, name, logging_dir)):
            selected.append(Selected(name, explicit=False))
    return selected


_NO_FOLDER = (
    "stores its data in a folder and none was given; pass `project_dir` (or `logging_dir` in ProjectConfiguration) to "
    "Accelerator, `save_dir` to AccelTrackLogger, or `logging_dir` to filter_trackers."
)


def _place(cls: type[GeneralTracker], folder: str | os.PathLike[str] | None) -> str | os.PathLike[str] | None:
    """Return the logging directory for a class; None if it is a server's address that the class does not take."""
    return None if is_address(folder) and not cls.takes_address else folder


def _lacking(name: str, logging_dir: str | os.PathLike[str] | None) -> str | None:
    """Return a sentence about the package that a named backend lacks, or None; raise an error if it lacks a folder."""
    try:
        cls = tracker_class(name)
    except ImportError as error:
        return f"its plugin cannot be imported ({type(error).__name__}: {error}); install what it needs."
    if cls.requires_logging_directory and _place(cls, logging_dir) is None:
        message = f"{name} {_NO_FOLDER}"
        raise ValueError(message)
    if cls.installed():
        return None
    how = install_command(cls.install) if cls.install else "install its package"
    return f"the package {cls.sdk!r} is not installed; {how}"


def _skipped_without_folder(cls: type[GeneralTracker], name: str, logging_dir: str | os.PathLike[str] | None) -> bool:
    """Return whether "all" leaves a backend out for lack of a folder, with a warning."""
    lacking = cls.requires_logging_directory and _place(cls, logging_dir) is None
    if lacking:
        _warn(f"{name}: skipped by log_with='all': it {_NO_FOLDER}")
    return lacking


def _warn(message: str) -> None:
    warn(message, stacklevel=5)


def filter_trackers(log_with: LogWith, logging_dir: str | os.PathLike[str] | None = None) -> list[str | GeneralTracker]:
    """Return the names and instances in `log_with` that can be used here; missing packages are skipped with a warning.

    Args:
        log_with: A name, a `LoggerType`, a tracker instance, a list of these, or None, as for a front door.
        logging_dir: The logging directory, or None.

    Raises:
        TypeError: An entry of `log_with` is none of these.
        ValueError: A name is unknown or unusable as a folder name, or a named backend needs a directory and
            `logging_dir` is None.
    """
    return [one.instance or one.name for one in select(log_with, logging_dir, missing="skip")]


def build(
    selected: Sequence[Selected],
    project: str,
    run_name: str | None,
    directory: str | os.PathLike[str] | None,
    init_kwargs: Mapping[str, Mapping[str, Any]],
) -> list[GeneralTracker]:
    """Construct the trackers of one run; nothing is started yet.

    Args:
        selected: The trackers, from `select`.
        project: Name of the project.
        run_name: Name of the run; None for the name of the backend run that is continued.
        directory: The logging directory, or None.
        init_kwargs: Constructor arguments by tracker name, checked.

    Raises:
        NotConfiguredError: A named backend has neither credentials nor an offline setting. A backend that only "all"
            stands for is skipped with a warning.
    """
    trackers: list[GeneralTracker] = []
    for one in selected:
        kwargs = dict(init_kwargs.get(one.name, {}))
        if one.instance is not None:
            if kwargs:
                _warn(f"`init_kwargs[{one.name!r}]` is ignored: that tracker was passed as an instance.")
            trackers.append(one.instance)
        elif (cls := _configured_class(one, directory, kwargs)) is not None:
            trackers.append(cls.for_run(project, run_name, _place(cls, directory), kwargs))
    return trackers


def _configured_class(
    one: Selected, directory: str | os.PathLike[str] | None, kwargs: Mapping[str, Any]
) -> type[GeneralTracker] | None:
    """Return the class to construct; None, with a warning, if it is unusable and only "all" stands for it."""
    try:
        cls = tracker_class(one.name)
    except Exception as error:
        if one.explicit:
            raise
        _warn(f"{one.name}: skipped by log_with='all': its plugin cannot be imported: {error}")
        return None
    missing = cls.not_configured(kwargs)
    if one.explicit and missing is not None:
        message = f"{one.name}: {missing}"
        raise NotConfiguredError(message)
    if missing is not None:
        _warn(f"{one.name}: skipped by log_with='all': {missing}")
    if missing is not None or (not one.explicit and _skipped_without_folder(cls, one.name, directory)):
        return None
    return cls


def check_rules(rules: Mapping[str, Any], selected: Sequence[Selected]) -> None:
    """Check that every name in `rules` is a tracker's.

    Raises:
        ValueError: A name is not a tracker's.
    """
    names = {*known_names(), *(one.name for one in selected)}
    if unknown := sorted(str(name) for name in rules if name not in names):
        message = f"`rules` names {', '.join(map(repr, unknown))}, no tracker: there are {', '.join(sorted(names))}."
        raise ValueError(message)


def check_init_kwargs(init_kwargs: Any, selected: Sequence[Selected]) -> Mapping[str, Mapping[str, Any]]:
    """Return constructor arguments by tracker name, an empty dictionary for None.

    A run without trackers, or with "all", takes every known name.

    Raises:
        ValueError: A name is that of no tracker of the run.
        TypeError: `init_kwargs` is not a dictionary of dictionaries.
    """
    init_kwargs = without_omegaconf(init_kwargs)
    if init_kwargs is None:
        return {}
    if not isinstance(init_kwargs, Mapping) or not all(isinstance(value, Mapping) for value in init_kwargs.values()):
        message = f"`init_kwargs` must map tracker names to dictionaries of arguments; got {init_kwargs!r}."
        raise TypeError(message)
    here = sorted(one.name for one in selected)
    names = {*here, *(() if here and all(one.explicit for one in selected) else known_names())}
    if unknown := sorted(str(name) for name in init_kwargs if name not in names):
        those = f"it has {', '.join(here)}" if here else f"known are {', '.join(sorted(names))}"
        message = f"`init_kwargs` names {', '.join(map(repr, unknown))}, no tracker of this run: {those}."
        raise ValueError(message)
    return init_kwargs
