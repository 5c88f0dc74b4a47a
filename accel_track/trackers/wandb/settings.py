"""wandb's mode and credentials, found where wandb finds them, without its import, its session or a prompt."""

from __future__ import annotations

import configparser
import netrc
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

# Where `wandb login` keeps a key when no other server is set; since 0.31 the first, which reads the second's key too.
_HOSTS = ("api.forge.coreweave.com", "api.wandb.ai")


def find_settings(init_kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return mode, server and credentials, each from the first place that has it, in wandb's own order."""
    found = _first(init_kwargs, ("mode", "api_key", "identity_token_file", "base_url"))
    if "SM_TRAINING_ENV" in os.environ and found["api_key"] is None:
        found["api_key"] = "in a file of SageMaker's, which wandb reads"
    return found


def chooses_id(init_kwargs: Mapping[str, Any]) -> bool:
    """Return whether the user, a sweep, a launch or SageMaker says which run it is."""
    names = ("run_id", "resume", "resume_from", "fork_from", "sweep_id", "launch")
    found = _first({**init_kwargs, "run_id": init_kwargs.get("id")}, names)
    return "SM_TRAINING_ENV" in os.environ or any(value is not None for value in found.values())


def runs_folder(init_kwargs: Mapping[str, Any]) -> str:
    """Return the folder in which wandb makes one for each run."""
    root = _first(init_kwargs, ("dir",))["dir"] or os.getcwd()
    return os.path.join(root, ".wandb" if os.path.isdir(os.path.join(root, ".wandb")) else "wandb")


def _first(init_kwargs: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    given = init_kwargs.get("settings") or {}
    if not isinstance(given, Mapping):  # a `wandb.Settings`, whose other fields hold defaults
        given = {name: getattr(given, name) for name in given.model_fields_set}
    # Holds what `wandb.login` or `wandb.setup` left in this process.
    singleton = getattr(sys.modules.get("wandb.sdk.wandb_setup"), "singleton", None)
    session = getattr(singleton(), "settings_if_loaded", None) if singleton is not None else None
    places: list[Mapping[str, Any]] = [
        init_kwargs,
        given,
        {name: os.environ.get(f"WANDB_{name.upper()}") for name in names},
        {name: getattr(session, name, None) for name in names},
        _settings_file(os.path.join(".wandb" if os.path.isdir(".wandb") else "wandb", "settings")),
        _settings_file(os.path.join(os.environ.get("WANDB_CONFIG_DIR") or "~/.config/wandb", "settings")),
    ]
    return {name: next((place[name] for place in places if place.get(name)), None) for name in names}


def _settings_file(path: str) -> Mapping[str, Any]:
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read(os.path.expanduser(path), encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError):
        return {}
    return parser["default"] if parser.has_section("default") else {}


def netrc_key(base_url: str | None) -> str | None:
    """Return the key that `wandb login` stored for this server."""
    standard = ["~/.netrc", "~/_netrc"]
    paths = [os.environ["NETRC"]] if os.environ.get("NETRC") else standard
    path = next((full for full in map(os.path.expanduser, paths) if os.path.exists(full)), None)
    try:
        file = netrc.netrc(path) if path else None
    except (netrc.NetrcParseError, OSError):
        return None
    host = urlsplit(base_url or "").netloc
    hosts = _HOSTS if not host or host in _HOSTS else (host,)
    found = (file.authenticators(one) for one in hosts) if file else ()
    return next((entry[2] for entry in found if entry and entry[2]), None)
