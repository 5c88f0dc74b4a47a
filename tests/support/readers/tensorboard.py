"""TensorBoard's event files, read with TensorBoard's own code."""

import json
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.plugins.hparams import metadata
from tensorboard.util import tensor_util

from accel_track.testing import Bins, Readback, Seen, TrackerContract
from accel_track.trackers.tensorboard.tracker import TensorBoardTracker
from tests.support.pictures import pixels


def accumulate(folder: Path) -> EventAccumulator:
    """Load everything that TensorBoard would show for one run."""
    everything = dict.fromkeys(("scalars", "images", "tensors", "histograms", "audio"), 0)
    accumulator = EventAccumulator(str(folder), size_guidance=everything)
    accumulator.Reload()
    return accumulator


def shown(folder: Path) -> tuple[dict[str, list[tuple[int, float]]], dict[str, Any]]:
    """Return scalars and hyperparameters as the server of TensorBoard's web page loads them."""
    multiplexer = EventMultiplexer(tensor_size_guidance={"scalars": 0}).AddRunsFromDirectory(str(folder))
    multiplexer.Reload()
    (run,) = multiplexer.Runs()
    scalars = {
        tag: [(one.step, tensor_util.make_ndarray(one.tensor_proto).item()) for one in multiplexer.Tensors(run, tag)]
        for tag in multiplexer.PluginRunToTagToContent("scalars")[run]
    }
    contents = multiplexer.PluginRunToTagToContent("hparams").get(run, {})
    config = {}
    if content := contents.get("_hparams_/session_start_info"):
        session = metadata.parse_session_start_info_plugin_data(content)
        config = {name: getattr(value, value.WhichOneof("kind")) for name, value in session.hparams.items()}
    return scalars, config


@contextmanager
def web_page(folder: Path, load_fast: str, *more: str) -> Iterator[str]:
    """Run TensorBoard on a folder, and yield the address of its scalars."""
    options = ["--logdir", str(folder), "--port", "0", "--host", "127.0.0.1", "--load_fast", load_fast, *more]
    command = [sys.executable, "-m", "tensorboard.main", *options]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        address = next(match[0] for line in process.stderr if (match := re.search(r"http://[\w.]+:\d+", line)))
        yield f"{address}/data/plugin/scalars/scalars"
    finally:
        process.terminate()
        process.communicate()


def fetched(address: str) -> list[list[float]]:
    """Return time, step and value of each point that the web page gets; none while the server has not loaded them."""
    with suppress(OSError), urllib.request.urlopen(address, timeout=10) as page:
        points: list[list[float]] = json.load(page)
        return points
    return []


def read_media(events: EventAccumulator, stored: Readback) -> None:
    """Read what TensorBoard has beside numbers."""
    tags = events.Tags()
    for tag in tags["tensors"]:
        if tag.endswith("_VERTEX"):
            points = [(tensor_util.make_ndarray(one.tensor_proto)[0], one.step) for one in events.Tensors(tag)]
            stored.media[tag.removesuffix("_VERTEX")] = [Seen(*one) for one in points]
        if not tag.endswith("/text_summary"):
            continue
        texts = [(event.tensor_proto.string_val[0].decode(), event.step) for event in events.Tensors(tag)]
        stored.texts[tag.removesuffix("/text_summary")] = [text for text, _ in texts]
        stored.media[tag.removesuffix("/text_summary")] = [Seen(*one) for one in texts]
    for tag in tags["images"]:
        for image in events.Images(tag):
            stored.media.setdefault(tag, []).append(Seen(pixels(image.encoded_image_string), image.step))
    for tag in tags["histograms"]:
        for one in events.Histograms(tag):
            histogram = one.histogram_value
            edges = [histogram.min, *histogram.bucket_limit]
            stored.media.setdefault(tag, []).append(Seen(Bins(list(histogram.bucket), edges), one.step))
    for tag in tags["audio"]:
        stored.media[tag] = [Seen(one.encoded_audio_string, one.step) for one in events.Audio(tag)]


class TensorBoardContract(TrackerContract):
    """The conformance suite with a tracker that it makes, and the reader of what that stores."""

    tracker_class = TensorBoardTracker

    def make(self, folder: Path) -> TensorBoardTracker:
        return TensorBoardTracker("contract", folder)

    def read(self, folder: Path) -> Readback:
        file, *more = folder.rglob("events.out.tfevents.*")
        assert {one.parent for one in more} <= {file.parent}
        events = accumulate(file.parent)
        tags = events.Tags()
        stored = Readback(project=file.parent.relative_to(folder).parts[0], run_name=file.parent.name)
        for tag in tags["scalars"]:
            stored.metrics[tag] = [(event.step, event.value) for event in events.Scalars(tag)]
            stored.times[tag] = [event.wall_time for event in events.Scalars(tag)]
        read_media(events, stored)
        if "_hparams_/session_start_info" in events.summary_metadata:
            content = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
            hparams = metadata.parse_session_start_info_plugin_data(content).hparams
            stored.config = {name: getattr(v, v.WhichOneof("kind")) for name, v in hparams.items()}
        if more:  # TensorBoard shows only the first session, the file has what came later
            stored.config |= yaml.safe_load((file.parent / "hparams.yml").read_text())
        return stored
