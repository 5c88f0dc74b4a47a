"""`accel-track doctor`: the backends that are installed, configured and reachable."""

from __future__ import annotations

import os
import platform
import re
import socket
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import typer

from accel_track.cli._common import INCOMPLETE, Json, console, one_line_errors, print_json, say, table

if TYPE_CHECKING:
    from accel_track.trackers.base import GeneralTracker

_TIMEOUT = 2.0
_YES = ("1", "true", "yes", "on")
_NO = ("0", "false", "no", "off")


class _Server(NamedTuple):
    """The variable of a server's address, the default, and the variable and values that mean that no server is used."""

    variable: str
    default: str | None = None
    mode: str = ""
    offline: tuple[str, ...] = ()


# Sources: the documentation of each SDK's environment variables.
_SERVERS = {
    "mlflow": _Server("MLFLOW_TRACKING_URI"),
    "wandb": _Server("WANDB_BASE_URL", "https://api.wandb.ai", "WANDB_MODE", ("offline", "dryrun", "disabled")),
    "comet_ml": _Server("COMET_URL_OVERRIDE", "https://www.comet.com", "COMET_START_ONLINE", _NO),
    "clearml": _Server("CLEARML_API_HOST", "https://api.clear.ml", "CLEARML_OFFLINE_MODE", _YES),
    "swanlab": _Server("SWANLAB_API_HOST", "https://api.swanlab.cn", "SWANLAB_MODE", ("offline", "local", "disabled")),
}


def doctor(as_json: Json = False) -> None:
    """Say which backends are installed and configured, and whether their servers answer.

    A fast path uses private parts of a backend's SDK; where it is off, the tracker makes public calls.

    Example: accel-track doctor
    """
    with one_line_errors():
        from accel_track.options import unknown_variables
        from accel_track.registry import known_names

        backends = {name: _backend(name) for name in known_names()}
        versions = {"python": platform.python_version(), **{name: _version(name) for name in _OWN}}
        variables = _variables()
        if as_json:
            print_json({"versions": versions, "backends": backends, "variables": variables})
        else:
            say(", ".join(f"{name} {number or 'missing'}" for name, number in versions.items()))
            rows = [
                (name, one["version"] or "missing", one["missing"] or "yes", one["server"], _fast_path(one["fast"]))
                for name, one in backends.items()
            ]
            console().print(table("", ("backend", "version", "configured", "server", "fast path"), rows))
            unknown = unknown_variables()
            for name, value in variables.items():
                meant = f"; did you mean {unknown[name]}?" if unknown.get(name) else ""
                say(f"{name}={value}" + (f"  (nothing reads it{meant})" if name in unknown else ""))
    if any(one["reachable"] is False for one in backends.values()):
        raise typer.Exit(code=INCOMPLETE)


_OWN = ("accel-track", "torch", "lightning")


def _backend(name: str) -> dict[str, Any]:
    from accel_track.registry import tracker_class

    described: dict[str, Any] = {"version": None, "missing": None, "server": "", "reachable": None, "fast": {}}
    try:
        cls = tracker_class(name)
        described["version"] = _tracker_version(cls)
        if described["version"] is None:
            described["missing"] = _not_installed(cls.install or cls.name)
        else:
            described["missing"] = cls.not_configured({})
            described["fast"] = {path.__name__: path.untested() or path.missing() for path in cls.fast_paths}
    except Exception as error:  # noqa: BLE001 - a plugin may raise anything
        described["missing"] = f"{type(error).__name__}: {error}"
    if described["missing"] is None:
        described.update(_server(name))
    return described


def _not_installed(requirement: str) -> str:
    from accel_track.trackers.installing import unmet_condition

    condition = unmet_condition(requirement)
    if condition:
        return f"not to be had here: {requirement} is for {condition}"
    return f"not installed: pip install '{requirement}'"


def _fast_path(obstacles: dict[str, str | None]) -> str:
    """Return "on", or why a fast path is off; nothing if there is no fast path."""
    if not obstacles:
        return ""
    return "; ".join(f"off: {why}" for why in obstacles.values() if why) or "on"


def _tracker_version(cls: type[GeneralTracker]) -> str | None:
    """Return the version of the SDK, "installed" if the version is unknown, None if the SDK is missing."""
    if not cls.installed():
        return None
    distribution = re.match(r"[\w.\-]+", cls.install or cls.sdk or "")
    return (distribution and _version(distribution[0])) or "installed"


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _server(name: str) -> dict[str, Any]:
    from accel_track.redaction import scrubbed

    server = _SERVERS.get(name)
    if server is None or os.environ.get(server.mode, "").strip().lower() in server.offline:
        return {"server": "local", "reachable": None}
    address = os.environ.get(server.variable) or server.default or ""
    if not address.startswith(("http://", "https://")):
        return {"server": scrubbed(address) or "local", "reachable": None}
    try:
        parts = urlsplit(address)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        socket.create_connection((parts.hostname or "", port), _TIMEOUT).close()
    except (OSError, ValueError) as error:
        return {"server": f"{scrubbed(address)} does not answer ({error})", "reachable": False}
    return {"server": f"{scrubbed(address)} answers", "reachable": True}


def _variables() -> dict[str, str]:
    from accel_track.redaction import REDACTED, is_secret

    ours = {name: value for name, value in sorted(os.environ.items()) if name.startswith("ACCEL_TRACK_")}
    return {name: REDACTED if is_secret(name, value) else value for name, value in ours.items()}
