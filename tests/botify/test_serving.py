import logging
import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from botify.serving import _Worker, announce
from tests.botify.conftest import MakeService
from tests.botify.exports import experiments_of, write_catalogue
from tests.programs import run_python


def test_the_start_says_where_and_what(
    make_service: MakeService, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    experiments = experiments_of("indexed", "live")
    service = make_service(experiments=experiments, exclude=[7, "7"])
    caplog.clear()
    caplog.set_level(logging.INFO, "botify")
    announce(service.settings, service.versions.model, 5005)
    assert caplog.messages == [
        "http://127.0.0.1:5005, to read about it: http://127.0.0.1:5005/docs",
        "version one: lists of 20 listeners, a catalogue of 40 tracks",
        f"events are logged in {tmp_path / 'log'}; the file under way is hidden: .events-…",
        "exclude: '7' is not in the catalogue",
        "arm T1: live needs live.npz, which version one lacks; "
        "instead: top_pop, random",
    ]


@pytest.mark.parametrize("fate", [signal.SIGTERM, signal.SIGKILL])
def test_a_worker_that_still_starts_ends_with_its_master(
    tmp_path: Path, fate: signal.Signals
) -> None:
    catalogue = write_catalogue(tmp_path / "tracks.json", range(60))
    words = [f"catalogue={catalogue}", f"log_dir={tmp_path}", "port=0"]
    words += [f"experiments={experiments_of('random')}"]
    script = f"""
import os, signal, time
from botify import limits, serving
from botify.settings import load_settings

class SlowToStart(serving.Service):
    def __init__(self, *args):
        os.kill(os.getppid(), {fate:d})
        while signal.SIGTERM not in signal.sigpending():
            time.sleep(0.01)
        super().__init__(*args)

serving.Service = SlowToStart
limits.STOP_S = 600
serving.serve(load_settings(None, {{}}, {words}))
"""
    # returns when the worker has closed the pipes, too
    done = run_python("-c", script)
    assert done.returncode == (0 if fate == signal.SIGTERM else -fate)
    assert done.stderr == ""


def test_a_worker_whose_end_another_thread_has_seen_is_not_alive() -> None:
    worker = object.__new__(_Worker)
    worker.inner = multiprocessing.get_context("spawn").Process(target=int)
    worker.inner.start()
    os.waitpid(worker.inner.pid, 0)
    assert not worker.is_alive()
