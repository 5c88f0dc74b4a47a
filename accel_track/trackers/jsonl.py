"""The tracker for a file of JSON lines, one for each call."""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import os
import re
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from accel_track.errors import NotReadableError, NotStartedError
from accel_track.files import replace_file, write_whole
from accel_track.folders import command_line
from accel_track.media.fallbacks import stored
from accel_track.media.ways import Way, native
from accel_track.noop import NoOp
from accel_track.records import Metrics
from accel_track.state import process_index
from accel_track.texts import json_bytes, storable_texts
from accel_track.trackers.base import on_main_process
from accel_track.trackers.jsonl_media import Place, described, keep_artifact, known_in, told_media
from accel_track.trackers.media import StoresMedia, media_of
from accel_track.values.plain import is_number, leaves, long_integers_as_text, storable

if TYPE_CHECKING:
    from typing_extensions import Self

    from accel_track.media import Medium
    from accel_track.trackers.backend_run import BackendRun

NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
"""The numbers that JSON lacks, by the texts that stand for them."""

FILE, CONFIG = "metrics.jsonl", "config.json"
HEAD = ("step", "time", "seq")
"""Each line's own fields."""

OURS = re.compile(r"_*(step|time|seq)")
"""The names of each line's own fields, and of those that have been put out of their way."""


class JsonlTracker(StoresMedia):
    """One file, `<logging_dir>/<run_name>/metrics.jsonl`, and the hyperparameters beside it, in `config.json`.

    Each line is a JSON object with `step` (or null), `time` (seconds since 1970-01-01 UTC), `seq` (the call's number in
    its run, null for calls on the tracker itself) and the call's values; names of nested ones are joined with "/". A
    value of one of these three names has an underscore before it. Numbers, texts, booleans and None are stored; NaN and
    infinities are the texts "NaN", "Infinity" and "-Infinity", which JSON lacks. What is delivered again after
    `kill -9` is stored once. Rewinding takes the lines of that step and later ones out.

    A medium is an object, several of one name are a list: `_type` says what it is, and `file` which file of the folder
    `media` beside the lines holds it, by its SHA-256. Histograms, confusion matrices and all but very long texts are in
    the line; an array of many numbers is a histogram. Artifacts and models are copies in the folders
    `artifacts/<name>`; `artifacts.json` tells of them.

    Args:
        run_name: Name of the run, perhaps with folders: `project/run`.
        logging_dir: The logging directory.
        resume: Whether the run goes on in its file. If not, and there is one, it has `metrics-2.jsonl`, ….
        file: Name of the file.
    """

    name = "jsonl"
    requires_logging_directory = True
    in_all = False
    batch_size = 1000
    thread_bound = False
    keeps_nesting = True
    keeps_time = True
    checks_arguments = True
    media: ClassVar[Mapping[str, Way]] = {
        **dict.fromkeys(("image", "figure"), native("a file in `media`, PNG as a rule, with its caption in the line")),
        "table": native("a file in `media`: JSON with `columns` and `data`"),
        "histogram": native("`counts` and `edges` in the line"),
        "text": native("in the line; a file in `media` beyond 64 KiB"),
        "audio": native("a file in `media`, with its caption in the line"),
        "video": native("a file in `media`, with its caption in the line"),
        "html": native("a file in `media`, with its caption in the line"),
        "points": native("a file in `media`, in NumPy's format"),
        "confusion_matrix": native("`matrix` and `labels` in the line"),
        "artifact": native("a copy in `artifacts/<name>`, described in `artifacts.json`"),
        "model": native('a copy in `artifacts/<name>`, of the type "model"'),
    }

    def __init__(
        self, run_name: str, logging_dir: str | os.PathLike[str], resume: bool = False, file: str = FILE
    ) -> None:
        """Keep the arguments for `start`."""
        super().__init__()
        self.run_name, self.folder = run_name, Path(logging_dir, run_name)
        self.resume, self.file = resume, file
        self._path: Path | None = None
        self._last_path: Path | None = None
        self._config: dict[str, Any] = {}
        self._last = -1
        self._told: dict[str, set[Place]] | None = None
        self._whole_again: set[Place] = set()

    @classmethod
    def for_run(
        cls, project: str, run_name: str | None, directory: str | os.PathLike[str] | None, init_kwargs: dict[str, Any]
    ) -> Self:
        """Use `<directory>/<project>/<run_name>`."""
        return cls(**{"run_name": os.path.join(project, run_name or ""), "logging_dir": directory, **init_kwargs})

    @classmethod
    def in_folder(cls, folder: str, directory: str | os.PathLike[str]) -> dict[str, Any]:
        """Return the folder as the run's name."""
        return {"run_name": folder}

    @property
    def started(self) -> bool:
        """Whether there is a file."""
        return self._path is not None

    @property
    def tracker(self) -> Any:
        """The path of the file; an object that does nothing off the main process.

        Raises:
            NotStartedError: `start` was not called yet, or `finish` was.
        """
        if self._path is not None:
            return self._path
        if process_index() != 0:
            return NoOp()
        message = f"{self.name}: not started, or finished already; begin a run (or call `start`) before using it."
        raise NotStartedError(message)

    @on_main_process
    def start(self) -> None:
        """Make the file, or go on behind its last whole line."""
        if self.started:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        first = self.folder / self.file
        self._config, self._last = {}, -1
        if self.resume:
            self._go_on(first)
        others = (first.with_name(f"{first.stem}-{number}{first.suffix}") for number in itertools.count(2))
        for path in itertools.chain([first], others):
            with contextlib.suppress(FileExistsError):
                path.touch(exist_ok=self.resume)
                self._path = path
                return

    def _go_on(self, path: Path) -> None:
        self._config = known_in(self.folder / CONFIG)
        if path.exists():
            content = path.read_bytes()
            os.truncate(path, content.rfind(b"\n") + 1)  # the line that a killed process was writing
            numbers = (_field(line, "seq") for line in content.splitlines(keepends=True) if line.endswith(b"\n"))
            self._last = max((number for number in numbers if number is not None), default=-1)

    @on_main_process
    def store_init_configuration(self, values: dict[str, Any]) -> None:
        """Replace `config.json` by one with these, nested as given, and with the earlier ones."""
        self._config.update(storable(values))
        replace_file(
            self._present().with_name(CONFIG),
            msgspec.json.format(_json(long_integers_as_text(self._config)), indent=2) + b"\n",
            0o666,
        )

    @on_main_process
    def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        """Append a line.

        Raises:
            TypeError: There are more arguments.
        """
        self._check(kwargs)
        refused: list[tuple[str, Any]] = []
        self._append(self._line(values, step, self.now(), None, refused))
        for one in refused:
            self.drop(*one)

    @on_main_process
    def log_batch(self, records: Sequence[Metrics]) -> None:
        """Append a line for each call that the file does not have yet: all of them or, when it raises, none."""
        for record in records:
            self._check(record.kwargs.get(self.name, {}))
        refused: list[tuple[str, Any]] = []
        new = [one for one in records if one.seq > self._last or one.seq < 0]  # the latter are parts, of a repair
        if self._told is None and any(one.seq < 0 for one in new):
            self._told = told_media(self._present())
        lines = [self._line(one.values, one.step, one.time, None if one.seq < 0 else one.seq, refused) for one in new]
        self._append(b"".join(lines))
        self._last = max(self._last, *(one.seq for one in records))
        for value in refused:
            self.drop(*value)

    @on_main_process
    def log_artifact(
        self,
        path: str | os.PathLike[str],
        name: str | None = None,
        *,
        type: str | None = None,  # noqa: A002 - the word of all SDKs
        metadata: Mapping[str, Any] | None = None,
        copy: bool | None = None,
        step: int | None = None,
    ) -> None:
        """Copy a file, or a folder's files, to `artifacts/<name>`; one of that name before it stays.

        Args:
            path: The file or folder.
            name: Name of the artifact; None: that of the file or folder.
            type: What it is.
            metadata: What is known about it.
            copy: Of no account here.
            step: Training step.
        """
        file, source = self._present(), os.fspath(path)
        about = {"type": type or "artifact", "step": step, "time": self.now(), "metadata": dict(metadata or {})}
        keep_artifact(file.parent, source, name or os.path.basename(os.path.normpath(source)), about)

    def _check(self, kwargs: Mapping[str, Any]) -> None:
        if kwargs:
            message = f"{self.name}: `log` takes no further arguments; got {', '.join(kwargs)}."
            raise TypeError(message)

    def _present(self) -> Path:
        """Return the path of the file, which is made again where somebody has deleted it or its folder."""
        path: Path = self.tracker
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return path

    def _append(self, data: bytes) -> None:
        file = os.open(self._present(), os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
        try:
            size = os.fstat(file).st_size
            try:
                write_whole(file, data)
            except BaseException:
                os.ftruncate(file, size)
                raise
        finally:
            os.close(file)

    def _line(
        self, values: dict[str, Any], step: int | None, moment: float, seq: int | None, refused: list[tuple[str, Any]]
    ) -> bytes:
        line: dict[str, Any] = dict(zip(HEAD, (step, moment, seq), strict=True))
        again = False
        for key, value in leaves(values):
            name = f"_{key}" if OURS.fullmatch(key) else key
            if value is None or isinstance(value, str) or is_number(value):
                line[name] = value
            elif (media := self._media(key, value)) is not None:
                entries = list(map(self._kept, media if isinstance(media, list) else [media]))
                if seq is None and all((step, name, one.get("file")) in self._whole_again for one in entries):
                    again = True
                else:
                    line[name] = entries if isinstance(media, list) else entries[0]
            else:
                refused.append((key, value))
        return b"" if again and len(line) == len(HEAD) else _json(line) + b"\n"

    def _media(self, name: str, value: Any) -> Medium | list[Medium] | None:
        """Return a value that is one medium or several, with their files; None for others, and for what can be none."""
        media = media_of(value) or self.histogram_of(name, value)
        try:
            if isinstance(media, list):
                return [stored(one, self.passing.folder) for one in media]
            return None if media is None else stored(media, self.passing.folder)
        except (OSError, TypeError, ValueError):  # of a call of this object's own `log`; a run has found that out
            return None

    def _kept(self, medium: Medium) -> dict[str, Any]:
        """Return the line's entry for a medium, whose file is now beside the lines, with their permissions."""
        file = self._present()
        about, is_new = described(medium, file.parent, stat.S_IMODE(file.stat().st_mode))
        if is_new and self._told is not None:  # with its file, a line that told of it before is whole
            self._whole_again |= self._told.get(about["file"], set())
        return about

    @on_main_process
    def rewind(self, step: int) -> None:
        """Take the lines of a step and later ones out."""
        path = self._present()
        lines = path.read_bytes().splitlines(keepends=True)
        kept = [line for line in lines if (found := _field(line, "step")) is None or found < step]
        replace_file(path, b"".join(kept), 0o666)

    def read(self) -> BackendRun:
        """Return the content of the file, and of the files beside it.

        Raises:
            NotReadableError: There is no file.
        """
        from accel_track.trackers.jsonl_reading import JsonlRun

        path = self._file()
        if not path.is_file():
            message = f"{self.name}: there is no file {path}."
            raise NotReadableError(message)
        return JsonlRun(path)

    def _file(self) -> Path:
        return self._path or self._last_path or self.folder / self.file

    def look(self) -> str | None:
        """Return the command that shows the lines."""
        return command_line("less", self._file())

    def identity(self) -> dict[str, Any]:
        """Return the arguments with which another process goes on in the same file."""
        return {} if self._path is None else {"run_name": self.run_name, "file": self._path.name, "resume": True}

    @on_main_process
    def finish(self) -> None:
        """Forget the file, except for `read`."""
        self._last_path, self._path = self._path or self._last_path, None


def _field(line: bytes, name: str) -> int | None:
    """Return a line's `step` or `seq`; None also for a line that somebody else has written."""
    try:
        value = msgspec.json.decode(line)[name]
    except (msgspec.MsgspecError, KeyError, TypeError, IndexError):
        return None
    return value if isinstance(value, int) else None


def _json(document: dict[str, Any]) -> bytes:
    portable = _finite(document)
    try:
        return json_bytes(portable)
    except OverflowError:  # an integer beyond 64 bits, which JSON has
        return json.dumps(storable_texts(portable), ensure_ascii=False, separators=(",", ":")).encode()


def _finite(value: Any) -> Any:
    """Return JSON-like data with texts in place of NaN and infinities."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return list(map(_finite, value)) if isinstance(value, list) else value
