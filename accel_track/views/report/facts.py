"""The facts of a report: who a run is, how it went, where it ran and what was delivered."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from accel_track.delivery.status import status_of
from accel_track.journal.directory import RunDirectory
from accel_track.journal.info import RunInfo
from accel_track.views.content import Content
from accel_track.views.report.curves import MOST_RANKS
from accel_track.views.report.texts import flat, short


def facts(run: RunDirectory, info: RunInfo, content: Content) -> dict[str, Any]:
    """Return a page's facts about a run, beside its metrics and media.

    Raises:
        JournalError: The run cannot be read.
    """
    outcome = run.outcome(info)
    return {
        "id": info.run_id,
        "short": info.run_id.rpartition("-")[2],
        "name": info.name or info.run_id,
        "project": info.project,
        "status": "running" if outcome is None else outcome.status,
        "reason": None if outcome is None else outcome.reason,
        "created": info.created,
        "newest": content.newest,
        "records": content.records,
        "about": _about(run, info, content),
        "config": flat(content.config),
        "environment": flat(content.environment),
        "artifacts": [_artifact(one) for one in content.artifacts],
        "checkpoints": [[short(name), one["step"], _text(one["about"])] for name, one in content.checkpoints.items()],
        "delivery": _delivery(run, info, content.ends),
    }


def _about(run: RunDirectory, info: RunInfo, content: Content) -> list[tuple[str, str]]:
    """Return names and texts of what there is to say of the run."""
    lines = {
        "parent": info.parent or "",
        "command": " ".join(info.command),
        "host": f"{info.host}, process {info.pid}" if info.imported is None else "",
        "folder": run.shown,
        "mirror": info.mirror or "",
    }
    if (found := info.imported) is not None:
        lines["imported"] = f"from {found.source}, {found.place}, run {found.id}"
        lines["lost"] = ", ".join(f"{count} {what}" for what, count in found.lost.items())
    if content.rewinds:
        steps = ", ".join(map(str, content.rewinds))
        lines["went back"] = f"to step {steps}: what had been logged from there on is left out"
    if content.damaged:
        lines["damaged"] = f"{content.damaged:,} bytes of the journal were skipped; accel-track verify says which"
    if len(run.ranks()) > MOST_RANKS:
        lines["ranks"] = f"{len(run.ranks())}, of which {MOST_RANKS} have curves here"
    return [(name, short(text)) for name, text in lines.items() if text]


def _artifact(one: dict[str, Any]) -> list[Any]:
    return [short(one["name"]), short(one["type"]), one["files"], one["bytes"], one["step"]]


def _text(about: dict[str, Any]) -> str:
    return ", ".join(f"{name} {text}" for name, text in flat(about))


def _delivery(run: RunDirectory, info: RunInfo, logged: Mapping[int, int]) -> list[dict[str, Any]]:
    found = []
    for name, tracker in info.trackers.items():
        one = status_of(run, name, logged)
        dropped = {"dropped": json.dumps(one.dropped)} if one.dropped else {}
        found.append(
            {
                "name": name,
                "url": tracker.url,
                "delivered": one.delivered,
                "pending": one.pending,
                "under way": one.under_way,
                "quarantined": one.quarantined,
                "without form": one.not_replayable,
                **dropped,
            }
        )
    return found
