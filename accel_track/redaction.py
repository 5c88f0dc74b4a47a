"""Keep credentials out of files: what looks like one, by its name or inside of a URL."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from accel_track.values import as_mapping

REDACTED = "***"

_SECRET = re.compile(
    r"(?:^|[_\-. ])(?:api[_\-]?key|apikey|access[_\-]?key(?:[_\-]?id)?|secret(?:[_\-]?key)?|private[_\-]?key|passwd|"
    r"password|passphrase|token|auth|authorization|credentials?|client[_\-]?secret|session[_\-]?key)$",
    re.IGNORECASE,
)
# Tokens of a vocabulary, and options about them, are no secrets.
_HARMLESS = re.compile(
    r"(?:^|[_\-.])(?:cls|pad|eos|bos|unk|mask|sep|image|audio|video|special|stop|start|end|prefix|suffix|separator|use|"
    r"add|num|max|min|per|next|first|last|decoder_start|forced_bos|forced_eos)[_\-]token$",
    re.IGNORECASE,
)
_USER_INFO = re.compile(r"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.\-]*://)[^/\s?#]+@")  # to the last "@": passwords hold some


def is_secret(name: str, value: Any) -> bool:
    """Whether a value of that name looks like a credential: text, or a list of it, under a name such as `api_key`."""
    texts = value if isinstance(value, (list, tuple, set)) else (value,)
    if not any(isinstance(text, (str, bytes)) and text for text in texts):
        return False
    split = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)  # accessToken
    return _SECRET.search(split) is not None and _HARMLESS.search(split) is None


def without_user_info(text: str) -> str:
    """Return a text with user names and passwords in URLs replaced."""
    return _USER_INFO.sub(rf"\g<scheme>{REDACTED}@", text) if "://" in text else text


def redacted(value: Any) -> Any:
    """Return hyperparameters with credentials replaced by "***"; the value itself stays as it is.

    Dataclasses and namespaces in it, which may hold credentials too, become dictionaries.
    """
    value = as_mapping(value)
    if isinstance(value, Mapping):
        return {key: REDACTED if is_secret(str(key), item) else redacted(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(redacted(item) for item in value)
    return without_user_info(value) if type(value) is str else value


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
            result.append(without_user_info(argument))
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
        if _is_json(plain) and redacted(plain) == plain:
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
