"""Redaction: the removal of credentials from hyperparameters, command lines and constructor arguments."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from accel_track.credentials.recognition import REDACTED, is_secret, kind_of, scrubbed
from accel_track.texts import storable_texts
from accel_track.values.structures import as_mapping

__all__ = ["REDACTED", "is_secret", "portable_kwargs", "redacted", "redacted_command", "scrubbed"]

_OPTION = re.compile(r"(?P<dashes>--?)[a-z][a-z\-_]*(?:=.*)?", re.DOTALL)
_ASSIGNED = re.compile(r"(?<![\w.\-+~])(?P<name>[\w.\-+~]+)(?:=|:\s+)")
_USERS, _USER = ("-u", "-U", "--user", "--proxy-user"), re.compile(r"[^\s:/\\]+:(?!\d+$)[^\s/\\]+")


def redacted(value: Any, *, secret: bool = False) -> Any:
    """Return hyperparameters with credentials replaced by "***"; the argument is not changed.

    Objects in the value that hold named or numbered values become dictionaries and lists, and so do sets.

    Args:
        value: Hyperparameters, or a part of them.
        secret: Whether all texts in the value are credentials, as those in a dictionary named "api_keys" are.
    """
    value = as_mapping(value)
    if isinstance(value, Mapping):
        return {_name(key): _redacted_item(str(key), item, secret=secret) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return (tuple if isinstance(value, tuple) else list)(redacted(item, secret=secret) for item in value)
    if isinstance(value, str):
        return REDACTED if secret and value else scrubbed(value)
    return value


def _redacted_item(name: str, item: Any, *, secret: bool) -> Any:
    if is_secret(name, item):
        return REDACTED
    kind = kind_of(name)  # a dictionary named "auth" holds more than credentials, one named "api_keys" does not
    return redacted(item, secret=secret or (kind in ("secret", "password") and name.lower() not in ("auth", "cookie")))


def _name(key: Any) -> Any:
    return scrubbed(key) if isinstance(key, str) else key


def redacted_command(arguments: Sequence[str]) -> list[str]:
    """Return a command line with the values of options such as `--api-key` replaced."""
    result: list[str] = []
    option = ""  # the one whose value follows
    for argument in arguments:
        if option in _USERS and _USER.fullmatch(argument):
            result.append(f"{argument.partition(':')[0]}:{REDACTED}")
        elif option and not _is_option(argument, behind=option) and is_secret(option.lstrip("-"), argument):
            result.append(REDACTED)
            if option.endswith("s"):  # further values may follow
                continue
        else:
            result.append(_scrubbed_argument(argument))
        option = argument if argument.startswith("-") and "=" not in argument and result[-1] != REDACTED else ""
    return result


def _is_option(argument: str, *, behind: str) -> bool:
    """Return whether an argument is another option, and not the value of `behind`: a password may begin with a dash."""
    words = _OPTION.fullmatch(argument)
    return words is not None and (words["dashes"] == "--" or kind_of(behind.lstrip("-")) == "token")


def _scrubbed_argument(argument: str) -> str:
    """Return an argument without the value behind a credential's name, the second name in `--env=HF_TOKEN=…`."""
    for match in _ASSIGNED.finditer(argument):
        name, value = match["name"].lstrip("-+~"), argument[match.end() :]
        if is_secret(name, value) or (match["name"][:2] == f"-{name[:1]}" and is_secret(name[1:], value)):  # -eNAME=…
            return f"{scrubbed(argument[: match.end()])}{REDACTED}"
    return scrubbed(argument)


def portable_kwargs(kwargs: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the constructor arguments that a file may hold, and the names of those others that are no credentials.

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
