"""uvicorn with three worker processes, an async view and a sync one: one mint for all."""

from __future__ import annotations

import sys
from pathlib import Path

from django_processes import address_in, answers, environment, running, stops_cleanly

from m2m_auth.testing import FakeAuthorizationServer

UVICORN = [sys.executable, "-m", "uvicorn", "--factory", "django.core.asgi:get_asgi_application"]
WORKERS = ["--port", "0", "--workers", "3", "--lifespan", "off", "--app-dir", str(Path(__file__).parent)]


def test_uvicorn(server: FakeAuthorizationServer, tmp_path: Path) -> None:
    """Cold workers that get calls at the same moment share one slow mint; all end with SIGTERM."""
    server.latency = 0.3  # time for all workers to want a token while there is none
    log = tmp_path / "log"

    def ready(text: str) -> bool:
        return text.count("Started server process") == 3

    given = environment(server, tmp_path, DJANGO_SETTINGS_MODULE="django_asgi_settings")
    with running([*UVICORN, *WORKERS], given, log, ready) as uvicorn:
        address = address_in(log.read_text())
        assert answers(address, "acall", server, workers=3) == {"200"}
        assert answers(address, "call", server, workers=1, least=24) == {"200"}  # Django runs it in a thread
        stops_cleanly(uvicorn, log)
    assert server.mints == 1
    assert "ERROR" not in log.read_text()
