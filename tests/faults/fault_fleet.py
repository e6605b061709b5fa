"""A fleet: processes with threads that share a disk cache and call the API all the time."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from fault_processes import Process, changed

from m2m_auth import RenewalPolicy
from m2m_auth.testing import FakeAuthorizationServer


@dataclass
class Report:
    """What the fleet saw: how calls ended, the longest wait after the first, and each process's tokens in order."""

    outcomes: Counter[str]
    longest: float
    tokens: list[list[str]]


class Fleet:
    """Processes that call from the block's beginning to its end; their ``report`` is there afterwards."""

    def __init__(
        self, server: FakeAuthorizationServer, folder: Path, processes: int, threads: int, policy: RenewalPolicy
    ) -> None:
        where = (server.token_endpoint, server.base_url + "/api/things", f"disk:{folder}")
        self._processes = [Process("fleet_child.py", *where, changed(policy), str(threads)) for _ in range(processes)]

    def __enter__(self) -> Fleet:
        for process in self._processes:
            process.hear("ready")
        for process in self._processes:
            process.tell("go")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                for process in self._processes:
                    process.tell("stop")
                reports = [process.hear("report") for process in self._processes]
                outcomes = sum((Counter(report["outcomes"]) for report in reports), Counter[str]())
                tokens = [report["tokens"] for report in reports]
                self.report = Report(outcomes, max(report["longest"] for report in reports), tokens)
        finally:
            for process in self._processes:
                process.kill()
