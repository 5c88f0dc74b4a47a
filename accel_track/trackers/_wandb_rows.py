"""Hand many rows of a wandb run to wandb's service at once, in the form that `Run.log` gives them one by one."""

from __future__ import annotations

import inspect
import json
import operator
from collections.abc import Mapping, Sequence
from typing import Any

Row = dict[str, Any]

_json = json.JSONEncoder().encode


def check_arguments(run: Any, kwargs: Mapping[str, Any]) -> None:
    """Find out what `Run.log` would find, before it is called.

    Raises:
        TypeError: It takes no such argument.
    """
    inspect.signature(run.log).bind({}, **kwargs)
    for name in ("step", "commit"):
        if kwargs.get(name) is not None:
            operator.index(kwargs[name])


class Sender:
    """Logs rows of numbers and texts.

    `Run.log` has another thread write each row to the service's socket, and waits for it: here it is one wait for all.
    Where wandb is not as this code knows it, and for a disabled run, the rows go through `Run.log`.

    Args:
        run: A `wandb.Run` of this process.
    """

    def __init__(self, run: Any) -> None:
        """Find the way to wandb's service."""
        self._run = run
        self._request: Any = None
        try:
            from wandb.proto import wandb_server_pb2
            from wandb.sdk.interface.interface_sock import InterfaceSock

            protocol: Any = wandb_server_pb2
            interface, encoding = run._interface, run._settings.x_history_value_encoding  # noqa: SLF001
            if type(interface) is InterfaceSock and encoding == "json" and run._local_step >= 0:  # noqa: SLF001
                self._loop, self._client = interface._asyncer, interface._client  # noqa: SLF001
                self._stream, self._request = interface._stream_id, protocol.ServerRequest  # noqa: SLF001
        except (ImportError, AttributeError):  # a later wandb's
            pass

    def encoded(self, row: Row) -> Any:
        """Return what the service gets for a row.

        Raises:
            ValueError: A name or a text is not Unicode.
        """
        if self._request is None:
            return None
        request = self._request()
        request.record_publish._info.stream_id = self._stream  # noqa: SLF001
        items = request.record_publish.request.partial_history.item
        for key, value in row.items():
            item = items.add()
            item.key = key
            item.value_json = repr(value) if type(value) is float and value - value == 0 else _json(value)
        return request

    def send(self, rows: Sequence[tuple[Row, Any]]) -> None:
        """Log rows, each with what `encoded` returned for it."""
        run = self._run
        (first, _), *others = rows
        run.log(first)  # it also says whether the run is over
        if self._request is None:
            for row, _ in others:
                run.log(row)
        elif others:
            self._loop.run(lambda: self._publish([request for _, request in others]))
            run._local_step += len(others)  # noqa: SLF001

    async def _publish(self, requests: Sequence[Any]) -> None:
        for request in requests:
            await self._client.publish(request)
