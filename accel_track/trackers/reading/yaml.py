"""Files of hyperparameters in YAML: the reader that makes plain values of them, and no object."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

from accel_track.files import read_file

_LARGEST = 2**20
_MOST_NODES = 100_000
_LONGEST = 500
_STANDARD = "tag:yaml.org,2002:"
_FLOAT = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")
_TUPLE = f"{_STANDARD}python/tuple"


def plain_yaml(path: Path, *, newer: bool = False) -> dict[str, Any]:
    """Return the dictionary that a YAML file holds; {} for an empty file.

    Numbers, booleans, null, texts, lists and dictionaries become Python's own, tuples lists. What has another tag, such
    as `!!python/object`, is the text that stands in the file: nothing is imported or called.

    Args:
        path: The file.
        newer: Whether it is in YAML 1.2, where "1e-05" is a number and "yes" and "on" are texts.

    Raises:
        OSError: It cannot be read, is not a regular file, or has more than 1 MiB.
        ValueError: It is no YAML, holds no dictionary, or has over 100,000 parts once its aliases are written out.
    """
    try:
        text = read_file(path, _LARGEST).decode()
        node = yaml.compose(text, yaml.SafeLoader)  # the loader in C crashes where lists are nested deeply
        value = None if node is None else _Plain(text, newer=newer).value(node)
    except (yaml.YAMLError, RecursionError) as error:
        message = f"it is no YAML that can be read ({' '.join(str(error).split())})"
        raise ValueError(message) from error
    if value is None:
        return {}
    if not isinstance(value, dict):
        message = f"it holds no dictionary but a {type(value).__name__}"
        raise ValueError(message)  # noqa: TRY004 - the file's content, no argument's type
    return value


class _Plain:
    """The plain values of the nodes of one text."""

    def __init__(self, text: str, *, newer: bool) -> None:
        self._text, self._newer = text, newer
        self._left = _MOST_NODES
        self._scalars = yaml.constructor.SafeConstructor()

    def value(self, node: Any) -> Any:
        self._left -= 1
        if self._left < 0:
            message = f"it has over {_MOST_NODES:,} parts"
            raise ValueError(message)
        if node.tag != _TUPLE and (not node.tag.startswith(_STANDARD) or "python/" in node.tag):
            return self._as_text(node)
        if isinstance(node, yaml.MappingNode):
            return {self._key(key): self.value(item) for key, item in node.value}
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item) for item in node.value]
        return self._scalar(node)

    def _key(self, node: Any) -> str:
        key = self.value(node)
        return key if isinstance(key, str) else json.dumps(key)

    def _scalar(self, node: Any) -> Any:
        if self._newer and node.style is None and _FLOAT.fullmatch(node.value):
            return float(node.value)
        if self._newer and node.tag == f"{_STANDARD}bool" and node.value.lower() not in ("true", "false"):
            return node.value
        if node.tag.removeprefix(_STANDARD) not in ("bool", "int", "float", "null"):
            return node.value
        try:
            return self._scalars.construct_object(node)
        except (ValueError, KeyError, yaml.YAMLError):  # such as an integer of 5,000 digits
            return node.value

    def _as_text(self, node: Any) -> str:
        """Return the text of a node in the file, with its tag."""
        return " ".join(self._text[node.start_mark.index : node.end_mark.index].split())[:_LONGEST]
