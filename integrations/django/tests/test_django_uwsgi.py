"""uWSGI, preforking: the master loads the project and forks its workers without Python's ``os.fork``."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from django_processes import address_in, answers, environment, running, stops_cleanly

from m2m_auth.testing import FakeAuthorizationServer

PROGRAM = Path(sys.executable).with_name("uwsgi")
LISTEN = ["--http-socket=127.0.0.1:0", "--master", "--die-on-term", "--need-app", "--module=django_uwsgi"]
WORKERS = ["--processes=3", "--threads=2", "--enable-threads"]

pytestmark = pytest.mark.skipif(not PROGRAM.exists(), reason="uWSGI is not installed: pip install pyuwsgi")


@pytest.mark.parametrize(
    ("when", "options"),
    [
        ("before", []),
        ("after", []),
        # uWSGI runs Python's fork hooks only with this option. Otherwise a child notices the fork by its pid.
        ("during", []),
        ("during", ["--py-call-uwsgi-fork-hooks"]),
    ],
)
def test_uwsgi(server: FakeAuthorizationServer, tmp_path: Path, when: str, options: list[str]) -> None:
    """The master, a worker, or the master during its forks gets the first token: all workers answer, one mint."""
    server.latency = 1  # time for all workers to want a token while there is none
    log = tmp_path / "log"

    def ready(text: str) -> bool:
        return "spawned uWSGI worker 3" in text

    given = environment(server, tmp_path, M2M_TEST_WHEN=when)
    with running([str(PROGRAM), *LISTEN, *WORKERS, *options], given, log, ready) as uwsgi:
        assert answers(address_in(log.read_text()), "call", server, workers=3) == {"200"}
        stops_cleanly(uwsgi, log)
    assert server.mints == 1
    assert "Traceback" not in log.read_text()
