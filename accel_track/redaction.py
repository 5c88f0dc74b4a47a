"""Keep credentials out of files: in configurations, command lines and constructor arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from accel_track.credentials import REDACTED, is_secret, scrubbed
from accel_track.structures import as_mapping
from accel_track.texts import storable_texts

__all__ = ["REDACTED", "is_secret", "portable_kwargs", "redacted", "redacted_command", "scrubbed"]


def redacted(value: Any) -> Any:
    """Return hyperparameters with credentials replaced by "***"; the value itself stays as it is.

    Dataclasses and namespaces in it, which may hold credentials too, become dictionaries.
    """
    value = as_mapping(value)
    if isinstance(value, Mapping):
        return {key: REDACTED if is_secret(str(key), item) else redacted(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(redacted(item) for item in value)
    return scrubbed(value) if type(value) is str else value


def redacted_command(arguments: Sequence[str]) -> list[str]:
    """Return a command line with the values of options such as `--api-key` replaced."""
    result: list[str] = []
    secret_follows = False
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if secret_follows and not argument.startswith("-"):
            result.append(REDACTED)
        elif equals and is_secret(name.lstrip("-+"), value):
            result.append(f"{name}={REDACTED}")
        else:
            result.append(scrubbed(argument))
        secret_follows = argument.startswith("-") and not equals and is_secret(name.lstrip("-"), "x")
    return result


def portable_kwargs(kwargs: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return constructor arguments that a file may hold, and the names of others that are no credentials.

    A file may hold what JSON can express, without credentials.
    """
    kept: dict[str, Any] = {}
    withheld: list[str] = []
    for key, value in kwargs.items():
        plain = str(value) if hasattr(value, "__fspath__") else value
        if is_secret(key, plain):
            continue
        if _is_json(plain) and storable_texts(redacted(plain)) == plain:
            kept[key] = plain
        else:
            withheld.append(key)
    return kept, withheld


def _is_json(value: Any) -> bool:
    if value is None or type(value) in (bool, int, float, str):
        return True
    if isinstance(value, Mapping):
        return all(type(key) is str and _is_json(item) for key, item in value.items())
    return type(value) in (list, tuple) and all(_is_json(item) for item in value)
