"""What TensorBoard's HParams tab shows of a folder, by the tab's own backend."""

from pathlib import Path
from typing import Any, NamedTuple

from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.hparams import api_pb2, backend_context, get_experiment, list_session_groups


class Session(NamedTuple):
    """One line of the tab."""

    hparams: dict[str, Any]
    metrics: dict[str, float]
    status: str


class Tab(NamedTuple):
    """The tab: names of its columns, in their order, and its lines by run."""

    hparams: list[str]
    metrics: list[str]
    sessions: dict[str, Session]


def hparams_tab(folder: Path) -> Tab:
    """Load a folder, and ask as the web page does."""
    multiplexer = EventMultiplexer(tensor_size_guidance={"scalars": 0}).AddRunsFromDirectory(str(folder))
    multiplexer.Reload()
    provider = MultiplexerDataProvider(multiplexer, str(folder))
    context = backend_context.Context(TBContext(logdir=str(folder), multiplexer=multiplexer, data_provider=provider))
    statuses = [value for name, value in api_pb2.Status.items()]
    request = api_pb2.ListSessionGroupsRequest(allowed_statuses=statuses, slice_size=100)
    groups = list_session_groups.Handler(RequestContext(), context, "", request).run().session_groups
    asked = api_pb2.GetExperimentRequest()
    experiment = get_experiment.Handler(RequestContext(), context, "", asked).run()
    return Tab(
        [one.name for one in experiment.hparam_infos],
        [one.name.tag for one in experiment.metric_infos],
        {
            session.name: Session(
                {name: getattr(value, value.WhichOneof("kind")) for name, value in group.hparams.items()},
                {one.name.tag: one.value for one in session.metric_values},
                api_pb2.Status.Name(session.status),
            )
            for group in groups
            for session in group.sessions
        },
    )
