"""A Celery worker with Celery's own Django support and the prefork pool: one mint for all its processes."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from django_processes import PATIENCE, environment, running, stops_cleanly

from m2m_auth.testing import FakeAuthorizationServer

WORKER = [sys.executable, "-m", "celery", "-A", "django_celery", "worker", "--loglevel", "INFO"]
POOL = ["--pool", "prefork", "--concurrency", "3", "--max-tasks-per-child", "6", "--without-mingle", "--without-gossip"]


def configuration(folder: Path) -> dict[str, Any]:
    """A broker and results in this folder, so that the test needs no other server."""
    paths = {name: folder / name for name in ("queue", "control", "results")}
    for path in paths.values():
        path.mkdir()
    queue = {"data_folder_in": str(paths["queue"]), "data_folder_out": str(paths["queue"]), "polling_interval": 0.01}
    return {
        "broker_url": "filesystem://",
        "broker_transport_options": {**queue, "control_folder": str(paths["control"])},
        "result_backend": f"file://{paths['results']}",
        "worker_prefetch_multiplier": 1,
    }


@pytest.mark.parametrize("when", ["before", "after"])
def test_celery(server: FakeAuthorizationServer, tmp_path: Path, when: str) -> None:
    """36 tasks on changing processes take one mint, before or after the fork; SIGTERM ends all processes."""
    server.latency = 0.3  # time for all processes to want a token while there is none
    log, settings = tmp_path / "log", configuration(tmp_path)
    given = environment(server, tmp_path, M2M_TEST_WHEN=when, M2M_TEST_CELERY=json.dumps(settings))

    def ready(text: str) -> bool:
        return " ready." in text

    with Celery() as client:
        client.conf.update(settings)
        # They are sent before the worker starts: this broker also reads half-written messages.
        sent = [client.send_task("call", (f"{server.base_url}/api/{number}",)) for number in range(36)]
        with running([*WORKER, *POOL], given, log, ready) as worker:
            answers = [result.get(timeout=PATIENCE, interval=0.02) for result in sent]
            stops_cleanly(worker, log)
    assert [status for _, status in answers] == [200] * 36
    assert len({process for process, _ in answers}) >= 36 / 6
    assert server.mints == 1
    assert len(server.api_calls) == 36
