"""Give many metrics at once to an offline Comet experiment, as the messages that `Experiment.log_metric` would make."""

from __future__ import annotations

import functools
import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from accel_track.records import Metrics

Call = tuple[Metrics, dict[str, Any]]
"""A record, and its numbers by names that Comet takes."""

_NOT_FINITE = {"nan": '"NaN"', "inf": '"Infinity"', "-inf": '"-Infinity"'}
_label = functools.lru_cache(10_000)(json.dumps)


class Lines:
    """What the experiment's thread takes from its queue: lines for the file of messages."""

    def __init__(self, text: str) -> None:
        """Keep the lines."""
        self.text = text
        self.message_id: int | None = None


def takes_lines(experiment: Any) -> bool:
    """Whether an experiment writes an archive in the way that this code knows; has it take `Lines` then.

    The SDK's own way takes a thread, a lock, a pure Python encoder and a flush of the file for each value.
    """
    try:
        from comet_ml.streamer.handlers.offline_handler import OfflineMessageHandler
        from comet_ml.streamer.offline import OfflineStreamer

        streamer, handler = experiment.streamer, experiment.streamer.message_handler
        known = type(streamer) is OfflineStreamer and type(handler) is OfflineMessageHandler
        lock, file = streamer.__write_lock__, handler.file
        _remembered(experiment, "")
        experiment.metrics, streamer.__lock_closed__, streamer._counter  # noqa: B018, SLF001 - all that `log_lines` uses
    except (ImportError, AttributeError, LookupError):  # online, disabled, or a later SDK's
        return False

    def write(lines: Lines, context: Any) -> None:
        if context.message_loop_active:
            with lock:
                file.write(lines.text)
                file.flush()

    if known:
        handler.message_handlers[Lines] = write
    return known


def log_lines(experiment: Any, calls: Sequence[Call]) -> None:
    """Log numbers.

    Args:
        experiment: One that takes lines.
        calls: What was logged.
    """
    if not experiment.alive:
        return
    streamer, step = experiment.streamer, experiment.curr_step
    context = "" if experiment.context is None else f'"context":{json.dumps(experiment.context)},'
    epoch = json.dumps(experiment.curr_epoch)
    if steps := [record.step for record, _ in calls if record.step is not None]:
        experiment._set_step(steps[-1])  # noqa: SLF001
    series: defaultdict[str, list[Any]] = defaultdict(list)
    lines: list[str] = []
    with streamer.__lock_closed__:
        number = streamer._counter  # noqa: SLF001
        for record, numbers in calls:
            step = step if record.step is None else record.step
            head = f'{{"payload":{{{context}"local_timestamp":{int(record.time * 1000)},"message_id":'
            end = f',"step":{json.dumps(step)}}}}},"type":"metric_msg"}}\n'
            for name, value in numbers.items():
                number += 1
                series[name].append(value)
                text = repr(value) if value - value == 0 else _NOT_FINITE[str(value)]
                label = f'{number},"metric":{{"epoch":{epoch},"metricName":{_label(name)},"metricValue":'
                lines.append(head + label + text + end)
        streamer._counter = number  # noqa: SLF001
        streamer.put_message_in_q(Lines("".join(lines)))
    for name, values in series.items():
        _note(experiment, name, values)


def _note(experiment: Any, name: str, values: Sequence[Any]) -> None:
    """Keep what the experiment itself remembers of its metrics, for the summary at its end."""
    experiment.metrics[name] = values[-1]
    details, full_name = _remembered(experiment, name)
    known = details[full_name]
    known["value"] = values[-1]
    known["count"] += len(values)
    known["min"], known["max"] = min([known["min"], *values]), max([known["max"], *values])


def _remembered(experiment: Any, name: str) -> tuple[Any, str]:
    return experiment._summary.topics["metrics"].details, experiment._fullname(name)  # noqa: SLF001
