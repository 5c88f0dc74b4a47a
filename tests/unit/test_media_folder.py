"""The folder of media: contents by their names, pixels that wait, several writers, damage, a disk that is full."""

import errno
import hashlib
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pil

from accel_track.delivery.media import Encoding
from accel_track.errors import AccelTrackWarning
from accel_track.media import folder as folder_module
from accel_track.media import sums
from accel_track.media.content import Content
from accel_track.media.folder import RAW, MediaFolder, problem
from tests.support.waiting import until

FOLDER = Path("run/rank-00000/media")
PIXELS = np.random.default_rng(0).integers(0, 256, (8, 6, 3), np.uint8)


def image(seed: int = 0) -> Content:
    return Content({}, ".png", pixels=np.random.default_rng(seed).integers(0, 256, (8, 6, 3), np.uint8))


def names() -> list[str]:
    return sorted(path.name for path in FOLDER.iterdir())


def test_equal_contents_are_one_file_whatever_they_were_made_of() -> None:
    folder = MediaFolder(FOLDER)
    Path("a.mp4").write_bytes(b"video")
    one, same = folder.keep(Content({}, ".mp4", path="a.mp4")), folder.keep(Content({}, ".mp4", data=b"video"))
    assert one == same == hashlib.sha256(b"video").hexdigest() + ".mp4"
    assert folder.keep(image()) == folder.keep(image()) != folder.keep(image(1))
    assert len(names()) == 3
    assert oct(FOLDER.stat().st_mode)[-3:] == "700"
    assert {oct(path.stat().st_mode)[-3:] for path in FOLDER.iterdir()} == {"600"}
    assert folder.keep(Content({"text": "short"})) == ""


def test_pixels_wait_and_are_encoded_once_with_their_checksum() -> None:
    folder = MediaFolder(FOLDER)
    kept = [folder.keep(image(seed)) for seed in range(3)]
    assert names() == sorted(name + RAW for name in kept)
    assert folder.waiting == 3 * PIXELS.nbytes
    while folder.encode_next():
        pass
    assert folder.waiting == 0
    assert names() == sorted([*kept, sums.SUMS])
    known = sums.known(FOLDER)
    for seed, name in enumerate(kept):
        assert np.array_equal(np.asarray(Pil.open(FOLDER / name)), image(seed).pixels)
        assert known[name] == {sums.sha256(FOLDER / name)}
        assert problem(FOLDER, name, known) is None
    assert subprocess.run(["sha256sum", "--check", "--quiet", sums.SUMS], cwd=FOLDER, check=False).returncode == 0


def test_a_file_that_a_power_cut_left_empty_is_written_again() -> None:
    folder = MediaFolder(FOLDER)
    html = Content({}, ".html", data=b"<b>")
    page, picture, raw = folder.keep(html), folder.keep(image()), folder.keep(image(1)) + RAW
    folder.encode_next()
    for name in (page, picture, raw):
        os.truncate(FOLDER / name, 0)
    assert (folder.keep(html), folder.keep(image()), folder.keep(image(1)) + RAW) == (page, picture, raw)
    while folder.encode_next():
        pass
    known = sums.known(FOLDER)
    assert [problem(FOLDER, name, known) for name in (page, picture, raw.removesuffix(RAW))] == [None] * 3


def test_what_an_earlier_process_left_is_found() -> None:
    name = MediaFolder(FOLDER).keep(image())
    later = MediaFolder(FOLDER)
    (FOLDER / ("..x" + RAW)).touch()
    later.find_waiting()
    assert later.waiting
    assert later.encode_next()
    assert not later.encode_next()
    assert problem(FOLDER, name, sums.known(FOLDER)) is None


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../../run.json", "/etc/passwd", "a.png", "0" * 64, "0" * 64 + ".png/x"]
)
def test_no_name_leads_out(name: str) -> None:
    Path("run").mkdir()
    Path("run/run.json").touch()
    assert MediaFolder(FOLDER).file(name) is None
    assert problem(FOLDER, name, {}) == "its name is none of a medium"


def test_no_link_is_followed() -> None:
    name = "0" * 64 + ".png"
    FOLDER.mkdir(parents=True)
    Path("secret").touch()
    (FOLDER / name).symlink_to(Path("secret").absolute())
    assert MediaFolder(FOLDER).file(name) is None
    (FOLDER / name).unlink()
    os.mkfifo(FOLDER / (name + RAW))
    assert problem(FOLDER, name, {}) == "it is no regular file"


@pytest.mark.parametrize(
    ("text", "what"),
    [(b"8x6x3\nshort", "not what was logged"), (b"", "not what was logged"), (b"\xff@x\n", "not what")],
)
def test_damaged_pixels_are_told(text: bytes, what: str) -> None:
    folder = MediaFolder(FOLDER)
    name = folder.keep(image())
    (FOLDER / (name + RAW)).write_bytes(text)
    with pytest.raises(ValueError, match=what):
        MediaFolder(FOLDER).file(name)
    assert what in str(problem(FOLDER, name, {}))
    assert folder.encode_next()  # does not stop at it
    assert folder.waiting == 0


@pytest.mark.parametrize("text", [b"8x6x3@0\n", b"-1x6\n", b"x\n", b"9999999999x9999999999x3\n", b"1\n\x00"])
def test_pixels_that_somebody_made_up_are_told(text: bytes) -> None:
    FOLDER.mkdir(parents=True)
    data = text + bytes(PIXELS.tobytes() if text.startswith(b"8") else b"")
    name = hashlib.sha256(data).hexdigest() + ".png"
    (FOLDER / (name + RAW)).write_bytes(data)
    with pytest.raises(ValueError, match=r".+"):
        MediaFolder(FOLDER).file(name)


def test_damaged_files_are_told() -> None:
    folder = MediaFolder(FOLDER)
    picture, file = folder.keep(image()), folder.keep(Content({}, ".html", data=b"<b>"))
    assert folder.file(picture)
    for name in (picture, file):
        (FOLDER / name).write_bytes((FOLDER / name).read_bytes()[:-1] + b"?")
        assert problem(FOLDER, name, sums.known(FOLDER)) == "its bytes are not what was stored"
        (FOLDER / name).unlink()
        assert problem(FOLDER, name, sums.known(FOLDER)) == "it is missing"
        assert folder.file(name) is None


def test_too_many_that_wait_are_encoded_in_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_module, "MOST_WAITING", 2 * PIXELS.nbytes)
    folder = MediaFolder(FOLDER)
    with pytest.warns(AccelTrackWarning, match="calls encode their own until it is less") as caught:
        kept = [folder.keep(image(seed)) for seed in range(5)]
    assert len(caught) == 1
    assert folder.encoded_in_calls == 3
    assert [(FOLDER / name).exists() for name in kept] == [False, False, True, True, True]
    while folder.encode_next():
        pass
    assert folder.keep(image(9)) + RAW in names()


def test_a_folder_that_is_gone_is_made_again() -> None:
    folder = MediaFolder(FOLDER)
    name = folder.keep(image())
    for path in FOLDER.iterdir():
        path.unlink()
    FOLDER.rmdir()
    assert folder.keep(image(1)) + RAW in names()
    folder.encode_next()
    folder.encode_next()
    assert folder.waiting == 0
    assert folder.file(name) is None


def test_a_full_disk_leaves_nothing_half_and_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    full = True
    write = folder_module._NewFile.write

    def fail(file: Any, *parts: Any) -> None:
        data = b"".join(parts)
        write(file, data[:10])
        if full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(file, data[10:])

    folder = MediaFolder(FOLDER)
    name = folder.keep(image())
    monkeypatch.setattr(folder_module._NewFile, "write", fail)
    before = names()
    for content in (image(1), Content({}, ".html", data=b"<b>" * 10)):
        with pytest.raises(OSError, match="No space left"):
            folder.keep(content)
    with pytest.raises(OSError, match="No space left"):
        folder.encode_next()
    assert [one for one in names() if one != sums.SUMS] == before
    monkeypatch.setattr("accel_track.delivery.media._PAUSE", 0.01)
    encoding = Encoding(folder)
    encoding.begin()
    full = False
    until(lambda: not encoding.is_busy)
    encoding.end(30)
    assert folder.waiting == 0
    assert folder.file(name)
    assert problem(FOLDER, name, sums.known(FOLDER)) is None


def test_a_torn_checksum_costs_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    sums.note(FOLDER, "a", "0" * 64)
    with (FOLDER / sums.SUMS).open("ab") as file:
        file.write(b"1234")
    sums.note(FOLDER, "odd \\ \n \r name", "2" * 64)
    sums.note(FOLDER, "a", "3" * 64)
    assert sums.known(FOLDER) == {"a": {"0" * 64, "3" * 64}, "odd \\ \n \r name": {"2" * 64}}
    monkeypatch.setattr(os, "write", lambda *_: 3)
    with pytest.raises(OSError, match="No space left"):
        sums.note(FOLDER, "b", "4" * 64)
    assert sums.known(Path("nowhere")) == {}


def test_all_threads_of_a_process_encode_a_file_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each worker has a folder object of its own."""
    encoded: list[int] = []
    real = folder_module.encoded

    def counted(*arguments: Any) -> bytes:
        encoded.append(1)
        until(lambda: len(threading.enumerate()) > 4)
        return real(*arguments)

    monkeypatch.setattr(folder_module, "encoded", counted)
    name = MediaFolder(FOLDER).keep(image())
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(MediaFolder(FOLDER).file(name))) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [FOLDER / name] * 5
    assert len(encoded) == 1


ENCODER = """
import sys
from pathlib import Path
from accel_track.media.folder import MediaFolder

folder = MediaFolder(Path("run/rank-00000/media"))
sys.stdin.readline()
for name in sys.argv[1:]:
    assert folder.file(name) is not None
"""


def test_two_processes_encode_the_same_files() -> None:
    folder = MediaFolder(FOLDER)
    kept = [folder.keep(image(seed)) for seed in range(30)]
    command = [sys.executable, "-c", ENCODER, *kept]
    pipe = subprocess.PIPE
    processes = [subprocess.Popen(command, stdin=pipe, stderr=pipe, text=True) for _ in range(2)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    while folder.encode_next():
        pass
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    known = sums.known(FOLDER)
    assert names() == sorted([*kept, sums.SUMS])
    assert [problem(FOLDER, name, known) for name in kept] == [None] * 30


def test_a_forked_child_does_not_wait_for_the_turns_of_its_parents_threads() -> None:
    folder, held, over = MediaFolder(FOLDER), threading.Event(), threading.Event()
    name = folder.keep(image())

    def hold() -> None:
        with folder_module._turns._lock, folder_module._turns.of(FOLDER / name):
            held.set()
            over.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(60)
    child = os.fork()
    if child == 0:
        os._exit(0 if MediaFolder(FOLDER).file(name) else 1)
    over.set()
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_the_thread_ends_by_itself_and_begins_again() -> None:
    folder = MediaFolder(FOLDER)
    encoding = Encoding(folder)
    encoding.begin()
    assert encoding._thread is None
    for seed in range(2):
        folder.keep(image(seed))
        encoding.begin()
        until(lambda: encoding._thread is None)
        assert folder.waiting == 0
    encoding.end(1)


def test_where_no_thread_can_begin_the_end_encodes(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Any) -> None:
        message = "can't start new thread"
        raise RuntimeError(message)

    folder = MediaFolder(FOLDER)
    encoding = Encoding(folder)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    folder.keep(image())
    encoding.begin()
    assert folder.waiting
    encoding.end(0.0)
    assert folder.waiting
    encoding.end(30.0)
    assert not folder.waiting


def test_a_signal_handler_that_logs_while_the_thread_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = MediaFolder(FOLDER)
    encoding = Encoding(folder)
    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        folder.keep(image(1))
        encoding.begin()
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    folder.keep(image())
    encoding.begin()
    encoding.end(30.0)
    assert len([one for one in names() if one.endswith(".png")]) == 2


def test_many_threads_keep_and_encode_at_once() -> None:
    folder = MediaFolder(FOLDER)
    encoding = Encoding(folder)
    kept: list[set[str]] = []

    def keep() -> None:
        own = set()
        for seed in range(20):
            own.add(folder.keep(image(seed)))
            encoding.begin()
        kept.append(own)

    threads = [threading.Thread(target=keep) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    encoding.end(60.0)
    assert kept == [kept[0]] * 6
    assert names() == sorted([*kept[0], sums.SUMS])
    known = sums.known(FOLDER)
    assert {problem(FOLDER, name, known) for name in kept[0]} == {None}


@pytest.mark.parametrize("suffix", [".png/../../x", "png", ".PNG", ".a.b.c", "."])
def test_no_ending_leads_out(suffix: str) -> None:
    with pytest.raises(ValueError, match="no file's name ends in"):
        MediaFolder(FOLDER).keep(Content({}, suffix, data=b""))


def test_where_a_power_cut_counts_the_disk_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    MediaFolder(FOLDER).keep(image())
    assert not synced
    MediaFolder(FOLDER, durable=True).keep(image(1))
    assert len(synced) == 2
