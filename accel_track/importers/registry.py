"""The registry of sources: built-in ones and those of third parties, by name and by what is in a place."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points

from accel_track.errors import MissingPackageError, NotReadableError
from accel_track.importers.source import Source
from accel_track.trackers.installing import install_command

ENTRY_POINT_GROUP = "accel_track.sources"

BUILT_IN: Mapping[str, tuple[str, str]] = {
    "aim": ("aim", "AimSource"),
    "clearml": ("clearml", "ClearMLSource"),
    "comet_ml": ("comet", "CometSource"),
    "csv_logs": ("csv_logs", "CsvLogsSource"),
    "dvclive": ("dvclive", "DVCLiveSource"),
    "mlflow": ("mlflow", "MLflowSource"),
    "swanlab": ("swanlab", "SwanLabSource"),
    "tensorboard": ("tensorboard", "TensorBoardSource"),
    "trackio": ("trackio", "TrackioSource"),
    "wandb": ("wandb", "WandBSource"),
    "csv": ("csv_table", "CsvSource"),
    "jsonl": ("jsonl_table", "JsonlSource"),
    "parquet": ("parquet_table", "ParquetSource"),
}
"""Modules and classes of the built-in sources by name."""

_TABLES = frozenset(("csv", "jsonl", "parquet"))
"""Sources that read any file of a format: they are asked where no other knows the place."""


def known_sources() -> list[str]:
    """Return every name that `--from` takes."""
    return [*BUILT_IN, *sorted(_plugins())]


def source_class(name: str) -> type[Source]:
    """Return the source of a name.

    Raises:
        ValueError: There is none.
        TypeError: The plugin's entry point is not a subclass of `Source`.
    """
    if name in BUILT_IN:
        module, cls = BUILT_IN[name]
        found = getattr(import_module(f"accel_track.importers.{module}"), cls)
    elif (point := _plugins().get(name)) is not None:
        found = point.load()
    else:
        message = f"unknown source {name!r}; known are {', '.join(known_sources())}."
        raise ValueError(message)
    if not (isinstance(found, type) and issubclass(found, Source)):
        message = f"the plugin of the source {name!r} is no subclass of `accel_track.importers.source.Source`."
        raise TypeError(message)
    return found


def source_at(place: str, options: Mapping[str, str], name: str | None = None) -> Source:
    """Return the source that a place is, found by its content unless a name says it.

    Args:
        place: The folder or file, absolute, or the address of a server.
        options: The source's settings by name.
        name: Name of the source; None: the one that recognises the place.

    Raises:
        NotReadableError: None recognises the place, or more than one does.
        MissingPackageError: The source's package is not installed; the message holds the command to install it.
        ValueError: The name, or an option, is unknown.
    """
    if name is None:
        name = _recognised(place)
    cls = source_class(name)
    if not cls.installed():
        how = install_command(cls.install) if cls.install else "install its package"
        message = f"{name}: the package {cls.sdk!r} is not installed; {how}"
        raise MissingPackageError(message)
    return cls(place, options)


def _recognised(place: str) -> str:
    """Return the name of the one source that recognises a place."""
    broken: list[str] = []
    for names in ([name for name in known_sources() if name not in _TABLES], sorted(_TABLES)):
        claims = []
        for name in names:
            try:
                if source_class(name).recognises(place):
                    claims.append(name)
            except Exception as error:  # noqa: BLE001, PERF203 - a plugin's own error
                broken.append(f"{name} ({type(error).__name__}: {error})")
        if len(claims) == 1:
            return claims[0]
        if claims:
            message = f"{place} may be of {' or '.join(claims)}; say which, with --from {' or --from '.join(claims)}."
            raise NotReadableError(message)
    failed = f" Could not be asked: {', '.join(broken)}." if broken else ""
    message = (
        f"{place}: no source recognises what is there. If it is one of these, name it with --from: "
        f"{', '.join(known_sources())}.{failed}"
    )
    raise NotReadableError(message)


def _plugins() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP) if point.name not in BUILT_IN}
