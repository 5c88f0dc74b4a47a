"""TensorBoard: a folder that holds what cannot be read costs a warning; the run goes on in it."""

import os
import socket
import struct
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from accel_track.errors import AccelTrackWarning
from accel_track.trackers.tensorboard import wire
from accel_track.trackers.tensorboard.tracker import TensorBoardTracker
from tests.support.hparams_tab import hparams_tab

BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "\n".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
EVENTS = "events.out.tfevents.{}.host.1.0"


def unix_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(os.path.relpath(path))


def sparse(path: Path) -> None:
    path.write_bytes(wire.first_event(1.0))
    os.truncate(path, 2**40)


IN_PLACE_OF_HPARAMS: dict[str, Callable[[Path], object]] = {
    "broken": lambda path: path.write_text("lr: [0.5"),
    "binary": lambda path: path.write_bytes(bytes(range(256))),
    "a list": lambda path: path.write_text("- 1"),
    "another program's object": lambda path: path.write_text("lr: !!python/object/apply:os.getpid []"),
    "impossible date": lambda path: path.write_text("day: 2020-99-99"),
    "deep": lambda path: path.write_text("[" * 2000),
    "bomb": lambda path: path.write_text(BOMB),
    "large": lambda path: os.truncate(os.open(path, os.O_CREAT | os.O_WRONLY), 2**40),
    "fifo": os.mkfifo,
    "folder": os.mkdir,
    "socket": unix_socket,
    "dangling link": lambda path: path.symlink_to("nowhere"),
    "link to itself": lambda path: path.symlink_to(path.name),
}
IN_PLACE_OF_EVENTS: dict[str, Callable[[Path], object]] = {
    "fifo": os.mkfifo,
    "folder": os.mkdir,
    "socket": unix_socket,
    "dangling link": lambda path: path.symlink_to("nowhere"),
    "link to itself": lambda path: path.symlink_to(path.name),
}
DAMAGED_EVENTS: dict[str, Callable[[Path], object]] = {
    "nine bytes": lambda path: path.write_bytes(wire.first_event(1.0) + wire.frame(b"\x09" + bytes(4)) + b"\x20" * 9),
    "short event at the end": lambda path: path.write_bytes(wire.first_event(1.0) + wire.frame(b"\x09")),
    "huge length": lambda path: path.write_bytes(struct.pack("<Q", 2**64 - 1) + bytes(8)),
    "text": lambda path: path.write_text("not events" * 100),
    "empty": lambda path: path.write_bytes(b""),
    "sparse": sparse,
}


def goes_on(root: Path) -> None:
    """Start on the folder, log, and read back what TensorBoard shows of it."""
    tracker = TensorBoardTracker("run", root, resume=True)
    tracker.start()
    tracker.store_init_configuration({"lr": 0.5})
    tracker.log({"loss": 1.0}, step=0)
    tracker.finish()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "run").mkdir()
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    return tmp_path / "run"


@pytest.mark.timeout(30)
@pytest.mark.parametrize("what", IN_PLACE_OF_HPARAMS)
def test_hyperparameters_that_cannot_be_read(folder: Path, what: str) -> None:
    """They are put aside, and new ones begin."""
    IN_PLACE_OF_HPARAMS[what](folder / "hparams.yml")
    with pytest.warns(AccelTrackWarning, match=r"hparams\.yml cannot be read"):
        goes_on(folder.parent)
    assert os.path.lexists(folder / "hparams.yml.unreadable")
    assert (folder / "hparams.yml").read_text() == "lr: 0.5\n"
    (session,) = hparams_tab(folder.parent).sessions.values()
    assert (session.hparams, session.metrics) == ({"lr": 0.5}, {"loss": 1.0})


@pytest.mark.timeout(30)
@pytest.mark.parametrize("what", IN_PLACE_OF_EVENTS)
def test_what_is_called_like_an_event_file_and_is_none(folder: Path, what: str) -> None:
    """It is left alone."""
    other = folder / EVENTS.format("0000000001")
    IN_PLACE_OF_EVENTS[what](other)
    with pytest.warns(AccelTrackWarning, match="cannot be read"):
        goes_on(folder.parent)
    assert os.path.lexists(other)


@pytest.mark.timeout(30)
@pytest.mark.parametrize("what", DAMAGED_EVENTS)
def test_damaged_event_files(folder: Path, what: str) -> None:
    """What comes before the damage is taken into account; names whose number is none do not matter."""
    for number in ("0000000001", "²", "", "9" * 200):
        DAMAGED_EVENTS[what](folder / EVENTS.format(number))
    with warnings.catch_warnings():
        warnings.simplefilter("error", AccelTrackWarning)
        goes_on(folder.parent)


def test_empty_hyperparameters_are_none(folder: Path) -> None:
    (folder / "hparams.yml").write_text("# nothing yet\n")
    goes_on(folder.parent)
    assert (folder / "hparams.yml").read_text() == "lr: 0.5\n"
