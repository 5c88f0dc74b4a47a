"""The store of MLflow's that its own client reads: a server, or a database other than a SQLite file."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from typing import Any

from accel_track.errors import NotReadableError
from accel_track.trackers.mlflow.stored_run import Point, StoredModel, StoredRun

_AT_ONCE = 50_000
"""So many values are in memory, in pages of all names."""
_SMALLEST_PAGE = 200


class ClientStore:
    """A server or database.

    Args:
        client: An `MlflowClient`.
        folders: As for `Store`.
    """

    def __init__(self, client: Any, folders: Sequence[str] | None) -> None:
        """Keep the client."""
        self._client, self.folders = client, folders

    def runs(self, experiment: str | None, run_id: str | None = None) -> Iterator[StoredRun]:
        """Yield runs, page by page."""
        try:
            if run_id is not None:
                run = self._client.get_run(run_id)
                yield _stored(run, self._client.get_experiment(run.info.experiment_id).name)
                return
            for one in self._experiments(experiment):
                for run in _pages(self._client.search_runs, [one.experiment_id], order_by=["attributes.start_time"]):
                    yield _stored(run, one.name)
        except NotReadableError:
            raise
        except Exception as error:  # MLflow's, SQLAlchemy's and those of requests
            what = f"{type(error).__name__}: {error}".splitlines()[0]
            message = f"mlflow: {self._client.tracking_uri} cannot be read ({what}); check the address and the id."
            raise NotReadableError(message) from error

    def _experiments(self, name: str | None) -> Iterator[Any]:
        found = (one for one in _pages(self._client.search_experiments) if name in (None, one.name))
        return iter(sorted(found, key=lambda one: one.creation_time or 0))

    def points(self, run: StoredRun) -> Iterator[Point]:
        """Yield the values of all names in the order of their times."""
        names = sorted(self._client.get_run(run.id).data.metrics)
        page = max(_SMALLEST_PAGE, _AT_ONCE // max(len(names), 1))
        series = [self._series(run.id, name, page) for name in names]
        return heapq.merge(*series, key=lambda point: (point[2], point[3]))

    def _series(self, run_id: str, name: str, page: int) -> Iterator[Point]:
        store = getattr(getattr(self._client, "_tracking_client", None), "store", None)
        if store is None:  # the public call has no pages
            found = self._client.get_metric_history(run_id, name)
        else:
            found = _pages(store.get_metric_history, run_id, name, max_results=page)
        for one in found:
            yield one.key, one.value, one.timestamp, one.step

    def models(self, run: StoredRun) -> Iterator[StoredModel]:
        """Yield the models."""
        whole = self._client.get_run(run.id)
        outputs = getattr(getattr(whole, "outputs", None), "model_outputs", None) or []
        steps = {one.model_id: one.step for one in outputs}
        for model in _pages(self._client.search_logged_models, [whole.info.experiment_id]):
            if model.source_run_id == run.id:
                yield StoredModel(model.name, model.artifact_location, steps.get(model.model_id))


def _pages(call: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
    token = None
    while True:
        found = call(*args, **kwargs, page_token=token)
        yield from found
        token = getattr(found, "token", None)
        if not token or not found:
            return


def _stored(run: Any, experiment: str) -> StoredRun:
    info, data = run.info, run.data
    name = info.run_name or data.tags.get("mlflow.runName")
    texts = dict(data.params), dict(data.tags)
    return StoredRun(info.run_id, experiment, name, info.status, info.start_time, info.artifact_uri, *texts)
