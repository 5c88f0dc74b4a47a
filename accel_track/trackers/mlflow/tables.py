"""The tag in which MLflow lists the tables of a run, for its page's view of tables and `load_table`."""

from __future__ import annotations

import json
from typing import Any

TABLES = "mlflow.loggedArtifacts"


def with_table(tag: str | None, path: str, ours: str) -> str:
    """Return the tag with one table more.

    MLflow cuts a longer tag, which it cannot read then, and after which its own `log_table` fails. So of our own
    tables, the oldest are left out; their files stay.

    Args:
        tag: What the tag is, or None.
        path: The table's path.
        ours: What the paths of our tables begin with.
    """
    from mlflow.utils.validation import MAX_TAG_VAL_LENGTH

    listed = [one for one in _read(tag) if one.get("path") != path]
    listed.append({"path": path, "type": "table"})
    while len(text := json.dumps(listed)) > MAX_TAG_VAL_LENGTH:
        place = next((at for at, one in enumerate(listed) if str(one.get("path")).startswith(ours)), None)
        if place is None:
            return tag or "[]"
        del listed[place]
    return text


def listed_in(tag: str | None) -> list[str]:
    """Return the paths of the tables that a tag lists."""
    return [path for one in _read(tag) if one.get("type") == "table" and isinstance(path := one.get("path"), str)]


def _read(tag: str | None) -> list[dict[str, Any]]:
    """Return the entries of a tag; none for a tag that was cut."""
    try:
        listed = json.loads(tag or "[]")
    except ValueError:
        return []
    return [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
