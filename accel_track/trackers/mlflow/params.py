"""The params and tags of an MLflow run: hyperparameters, and what is known about the run."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from accel_track.errors import warn
from accel_track.trackers.mlflow.answers import ForeignAnswerError, checked_run, served
from accel_track.trackers.mlflow.metrics import mlflow_name
from accel_track.trackers.sdk import SDKTracker
from accel_track.values.plain import flat_config


class MLflowParams(SDKTracker):
    """The part of the tracker that stores hyperparameters and the environment."""

    client: Any
    """The `MlflowClient`, once the tracker was started."""

    clipped: Counter[str]
    """The number of texts by name that were cut to MLflow's limit."""

    _params: dict[str, str]

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        """Store params; MLflow never changes one, so another value for a stored name is dropped."""
        from mlflow.utils.validation import MAX_PARAM_VAL_LENGTH

        run_id = self.tracker.info.run_id
        texts = dict(self._texts(values, MAX_PARAM_VAL_LENGTH))
        news = {mlflow_name(key): text for key, text in texts.items() if mlflow_name(key) not in self._params}
        store_texts(self.client, run_id, params=news)
        self._params.update(news)
        for key, text in texts.items():
            if (stored := self._params[mlflow_name(key)]) != text:
                self.drop(key, text, f"it is stored as {stored!r}, and MLflow's params cannot change")

    def store_environment(self, values: dict[str, Any]) -> None:
        """Store the environment as tags."""
        from mlflow.utils.validation import MAX_TAG_VAL_LENGTH

        run_id = self.tracker.info.run_id
        tags = {mlflow_name(key): text for key, text in self._texts(values, MAX_TAG_VAL_LENGTH)}
        store_texts(self.client, run_id, tags=tags)

    def _texts(self, values: dict[str, Any], limit: int) -> Iterator[tuple[str, str]]:
        for key, value in flat_config(values).items():
            text = str(value)
            if len(text) > limit:
                self.clipped[key] += 1
                warn(f"mlflow: cut {key!r} to the first {limit} of its {len(text)} characters.")
            yield key, text[:limit]


def store_texts(
    client: Any, run_id: str, *, params: Mapping[str, str] | None = None, tags: Mapping[str, str] | None = None
) -> None:
    """Store params and tags of a run, and read them back if a server keeps them.

    Raises:
        ForeignAnswerError: One of these names is not there.
    """
    from mlflow.entities import Param, RunTag

    params, tags = params or {}, tags or {}
    if not params and not tags:
        return
    entities = {"params": [Param(*one) for one in params.items()], "tags": [RunTag(*one) for one in tags.items()]}
    client.log_batch(run_id, **entities, synchronous=True)
    if served(client):
        stored = checked_run(client.get_run(run_id), run_id=run_id).data
        if missing := (params.keys() - stored.params.keys()) | (tags.keys() - stored.tags.keys()):
            what = f"{min(missing)!r}, which was sent, is not there"
            raise ForeignAnswerError(what)


def parse_tags(tags: Mapping[str, Any] | str) -> dict[str, str]:
    """Return tags, given as a dictionary or as JSON text, with texts as values.

    Raises:
        ValueError: They are neither.
    """
    try:
        parsed = dict(json.loads(tags) if isinstance(tags, str) else tags)
    except (TypeError, ValueError) as error:
        message = f"mlflow: `tags` and MLFLOW_TAGS are a dictionary, or one as JSON text; got {tags!r}."
        raise ValueError(message) from error
    return {str(key): str(value) for key, value in parsed.items()}
