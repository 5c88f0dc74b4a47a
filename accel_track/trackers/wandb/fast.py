"""wandb's fast path: many rows of a run at once, in the form that `Run.log` gives them one by one."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from accel_track.trackers.fast import FastPath, UnfitError
from accel_track.trackers.rows import Row

_json = json.JSONEncoder().encode


class Rows(FastPath):
    """Rows of numbers and texts.

    `Run.log` has another thread write each row to the service's socket, and waits for it: here it is one wait for all.
    """

    distribution = "wandb"
    tested = "==0.31.*"
    parts = (
        "wandb.proto.wandb_server_pb2:ServerRequest",
        "wandb.sdk.interface.interface_sock:InterfaceSock",
    )
    attributes = (
        "_interface._asyncer.run",
        "_interface._asyncer._joined",
        "_interface._client.publish",
        "_interface._stream_id",
        "_settings.x_history_value_encoding",
        "_local_step",
        "_is_finished",
    )

    def __init__(self, native: Any) -> None:
        """Encode a row, and see that the run has the service's socket and takes JSON."""
        super().__init__(native)
        from wandb.proto import wandb_server_pb2
        from wandb.sdk.interface.interface_sock import InterfaceSock

        protocol: Any = wandb_server_pb2
        self._request = protocol.ServerRequest
        encoding = native._settings.x_history_value_encoding  # noqa: SLF001
        if type(native._interface) is not InterfaceSock or encoding != "json":  # noqa: SLF001
            message = f"a run's rows go to a {type(native._interface).__name__} as {encoding!r}"  # noqa: SLF001
            raise UnfitError(message)
        self._encoded({"a": 1.0}, native._interface._stream_id)  # noqa: SLF001

    @classmethod
    def applies(cls, native: Any) -> bool:
        """A disabled run has no service."""
        return not native.disabled

    def is_finished(self) -> bool:
        """Return whether the run is finished, by itself or with all others, by `wandb.teardown()`."""
        return bool(self.native._is_finished or self.native._interface._asyncer._joined)  # noqa: SLF001

    def prepare(self, rows: Sequence[tuple[Row, Mapping[str, Any]]], stored: Callable[[Row], None]) -> Any:
        """Encode rows; None if the run is over, which `Run.log` says.

        Args:
            rows: Calls, each with the fields of its row.
            stored: Called with each that the service has.

        Raises:
            ValueError: A name is not Unicode.
        """
        run = self.native
        interface, step = run._interface, run._local_step  # noqa: SLF001
        if run._is_finished or type(step) is not int:  # noqa: SLF001
            return None
        run_soon, publish, stream = interface._asyncer.run, interface._client.publish, interface._stream_id  # noqa: SLF001
        requests = [(row, self._encoded(fields, stream)) for row, fields in rows]
        return run_soon, publish, requests, stored

    def store(self, ready: Any) -> None:
        """Write the rows to the service's socket."""
        run, publish, requests, stored = ready

        async def write() -> None:
            for row, request in requests:
                await publish(request)
                self.native._local_step += 1  # noqa: SLF001
                stored(row)

        run(write)

    def _encoded(self, fields: Mapping[str, Any], stream: str) -> Any:
        request = self._request()
        request.record_publish._info.stream_id = stream  # noqa: SLF001
        items = request.record_publish.request.partial_history.item
        for key, value in fields.items():
            item = items.add()
            item.key = key
            item.value_json = repr(value) if type(value) is float and value - value == 0 else _json(value)
        return request
