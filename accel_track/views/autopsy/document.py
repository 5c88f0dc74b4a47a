"""An autopsy as JSON-like data."""

from __future__ import annotations

import os
from typing import Any

import msgspec

from accel_track.monitors.memory import Memory
from accel_track.views.autopsy.dumps import Dump
from accel_track.views.autopsy.examination import Autopsy
from accel_track.views.autopsy.traces import Trace


def document(autopsy: Autopsy) -> dict[str, Any]:
    """Return all that an autopsy holds; docs/commands/json.md explains the fields."""
    info, outcome = autopsy.info, autopsy.outcome
    return {
        "path": autopsy.run.shown,
        "run_id": autopsy.run.path.name if info is None else info.run_id,
        "project": None if info is None else info.project,
        "name": None if info is None else info.name,
        "live": autopsy.live,
        "status": None if outcome is None else outcome.status,
        "reason": None if outcome is None else outcome.reason,
        "summary": autopsy.paragraph,
        "cause": autopsy.verdict.cause,
        "confidence": autopsy.verdict.confidence,
        "rank": autopsy.rank,
        "time": autopsy.verdict.time,
        "remarks": autopsy.remarks,
        "unknown": autopsy.unknown,
        "not_finite": [one._asdict() for one in autopsy.numbers.not_finite],
        "series": [one._asdict() for one in autopsy.numbers.series],
        "checkpoint": autopsy.numbers.checkpoint,
        "checkpoint_step": autopsy.numbers.checkpoint_step,
        "damaged_bytes": autopsy.numbers.damaged,
        "ranks": [_of_rank(one) for one in autopsy.traces],
    }


def _of_rank(trace: Trace) -> dict[str, Any]:
    began, beat, death = trace.began, trace.beat, trace.death
    code = None if death is None or death.status is None else os.waitstatus_to_exitcode(death.status)
    return {
        "rank": trace.rank,
        **trace.progress._asdict(),
        "last_sign_of_life": trace.seen,
        "processes": trace.processes,
        "pid": None if began is None else began.pid,
        "host": None if began is None else began.host,
        "status": None if beat is None else beat.status,
        "reason": None if beat is None else beat.reason,
        "exit_code": code,
        "memory": {
            "began": _memory(None if began is None else began.memory),
            "last": _memory(None if beat is None else beat.memory),
            "death": _memory(None if death is None else death.memory),
        },
        "disk_free": None if beat is None else beat.disk_free,
        "records_lost": None if beat is None else beat.lost,
        "records_waiting": None if beat is None else beat.waiting,
        "errors": [one._asdict() for one in trace.errors],
        "children": [_of_dump(one) for one in trace.children],
        "stacks": [_of_dump(one) for one in trace.dumps],
    }


def _memory(memory: Memory | None) -> Any:
    return None if memory is None else msgspec.to_builtins(memory)


def _of_dump(dump: Dump) -> dict[str, Any]:
    threads = [{**one._asdict(), "frames": [frame._asdict() for frame in one.frames]} for one in dump.threads]
    return {"error": dump.error, "time": dump.time, "silent": dump.silent, "threads": threads}
