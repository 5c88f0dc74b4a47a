"""Nothing that reaches a file or the terminal holds a credential, or what a terminal would obey."""

import os
import sys
import textwrap
import warnings
from pathlib import Path

import pytest

from accel_track import Accelerator
from accel_track.journal.directory import find_runs
from accel_track.registry import LOGGER_TYPE_TO_CLASS
from tests.support.waiting import until

SECRET = "S3cr3t0aB"
LEAKY = """
    import os, sys
    from accel_track.trackers.base import GeneralTracker

    TEXT = (
        "\\x1b[31mPOST http://user:{0}@127.0.0.1:1/api?write_token={0} failed: api_key={0}, "
        "{{'password': '{0}'}} Authorization: Bearer {0} \\x1b]0;title\\x07"
    ).format(os.environ["LEAK"])

    class Leaky(GeneralTracker):
        name = "leaky"
        requires_logging_directory = False
        tracker = None

        def __init__(self, **kwargs):
            super().__init__()

        @classmethod
        def for_run(cls, project, run_name, directory, init_kwargs):
            return cls(**init_kwargs)

        def start(self):
            print(TEXT)
            print(TEXT, file=sys.stderr)
            self.is_started = True

        def store_init_configuration(self, values):
            assert os.environ["LEAK"] not in str(values)

        def log(self, values, step=None, **kwargs):
            if step == 1:
                raise ValueError(TEXT)

        def is_transient(self, error):
            return False

        def identity(self):
            return {"address": TEXT, "id": 1}

        def page(self):
            return "http://host:7955/run/1?write_token=" + os.environ["LEAK"]

        def finish(self):
            raise OSError(TEXT)
"""


@pytest.fixture
def leaky(tmp_path, monkeypatch):
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / "leaky.py").write_text(textwrap.dedent(LEAKY))
    monkeypatch.setenv("LEAK", SECRET)
    monkeypatch.syspath_prepend(folder)
    import leaky

    monkeypatch.setitem(LOGGER_TYPE_TO_CLASS, "leaky", leaky.Leaky)
    yield leaky
    del sys.modules["leaky"]


def train(log_with, delivery, text, **kwargs):
    config = {
        "url": f"http://host:7955?write_token={SECRET}",
        "said": text,
        "api_key": SECRET,
        "servers": [{"db_password": SECRET}],
    }
    init_kwargs = {log_with: kwargs}
    with Accelerator(log_with, "runs", delivery=delivery, finish_timeout=5) as accelerator:
        accelerator.init_trackers("p", config, init_kwargs)
        for step in range(3):
            accelerator.log({"loss": 1.0}, step=step)
        raise ValueError(text)


def assert_nothing_leaked(err, messages):
    told = "\n".join([err, *messages])
    assert SECRET not in told
    assert "***" in told
    assert not {"\x1b", "\x07"} & set(told)
    for path in Path().rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        assert SECRET.encode() not in content, path
        assert path.suffix in (".seg", ".db") or b"\x1b" not in content, path


@pytest.mark.parametrize("delivery", ["thread", "process"])
def test_a_backend_that_tells_credentials_in_its_errors(delivery, leaky, monkeypatch, capfd):
    monkeypatch.setattr(sys, "argv", ["train.py", "--password", SECRET, f"--env=HF_TOKEN={SECRET}", "-H", leaky.TEXT])
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        with pytest.raises(ValueError, match="POST"):
            train("leaky", delivery, leaky.TEXT, address=leaky.TEXT, tags={"token": SECRET}, lr=1)
    (run,) = find_runs(".")
    info = run.load()
    assert info.status == "failed"
    assert info.reason is not None
    assert "password': '***" in info.reason
    assert info.trackers["leaky"].identity == {"id": 1}
    assert info.trackers["leaky"].url == "http://host:7955/run/1?write_token=***"
    err = capfd.readouterr().err
    printed = leaky.TEXT + "\n"  # by the tracker itself, on this process's own standard error
    assert_nothing_leaked(err.replace(printed, ""), [str(one.message) for one in told])
    assert len(list(run.path.rglob("*.jsonl"))) == 1
    if delivery == "process":
        log = (run.rank(0) / "companion.log").read_text()
        assert (
            log.count("POST http://***@127.0.0.1:1/api?write_token=*** failed: api_key=***, {'password': '***'}") >= 2
        )


@pytest.mark.long
@pytest.mark.parametrize("delivery", ["thread", "process"])
def test_a_server_that_is_down_at_an_address_with_a_password(delivery, monkeypatch, capfd):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://user:{SECRET}@127.0.0.1:1")
    text = f"Bearer {SECRET}"
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        with pytest.raises(ValueError, match="Bearer"):
            train("mlflow", delivery, text)
    (run,) = find_runs(".")
    if delivery == "process":
        from accel_track.delivery.process.protocol import companion_states

        until(lambda: any(one.error for one in companion_states(run)[0][2].trackers.values()))
        state = companion_states(run)[0][2]
        os.kill(state.pid, 15)
        errors = [str(one.error) for one in state.trackers.values()]
    else:
        errors = []
    assert_nothing_leaked(capfd.readouterr().err, [*errors, *(str(one.message) for one in told)])
