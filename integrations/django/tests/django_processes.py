"""A server of the tests' project as a real process: started, called by many threads, and stopped in every case."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from real_servers.gunicorns import PATIENCE, ask_all

from m2m_auth.testing import FakeAuthorizationServer

HERE = Path(__file__).parent

__all__ = ["PATIENCE", "address_in", "alive", "answers", "environment", "running", "stops_cleanly"]


def environment(server: FakeAuthorizationServer, folder: Path, **values: str) -> dict[str, str]:
    """The environment of the project, with its tokens in this folder, without dev mode and warnings as errors."""
    own = {"M2M_TEST_ENDPOINT": server.token_endpoint, "M2M_TEST_FOLDER": str(folder), "XDG_CACHE_HOME": str(folder)}
    quiet = {"PYTHONWARNINGS": "", "PYTHONDEVMODE": "", "PYTHONDONTWRITEBYTECODE": ""}
    return {**os.environ, **own, **quiet, **values}


@contextmanager
def running(
    command: list[str], environment: dict[str, str], log: Path, until: Callable[[str], bool]
) -> Iterator[subprocess.Popen[bytes]]:
    """The process, once its log says that it is ready; killed at the end with all its children, if any is left."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=HERE, env=environment, stdout=output, stderr=output, start_new_session=True
        )
    try:
        deadline = time.monotonic() + PATIENCE
        while not until(log.read_text(errors="replace")):
            said = log.read_text(errors="replace")[-3000:]
            assert process.poll() is None, said
            assert "Traceback" not in said, said
            assert time.monotonic() < deadline, said
            time.sleep(0.02)
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def stops_cleanly(process: subprocess.Popen[bytes], log: Path) -> None:
    """SIGTERM ends it and all its children, without an error."""
    process.terminate()
    assert process.wait(PATIENCE) in (0, -signal.SIGTERM), log.read_text(errors="replace")[-3000:]
    deadline = time.monotonic() + PATIENCE
    while alive(process.pid):
        assert time.monotonic() < deadline, "a worker is left"
        time.sleep(0.02)


def alive(group: int) -> bool:
    """True while a process of this group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def address_in(log: str) -> str:
    """The server's address, if its log says it."""
    found = re.search(r"127\.0\.0\.1:[1-9]\d*", log)
    return f"http://{found[0]}" if found else ""


def answers(address: str, view: str, server: FakeAuthorizationServer, workers: int, least: int = 96) -> set[str]:
    """The view's answers to this many calls at least, and to more until each worker has answered one."""
    given = ask_all(f"{address}/{view}?url={quote(server.base_url + '/api/x')}", workers, least=least, at_once=24)
    return {what for _, what in given}
