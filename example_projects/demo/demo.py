"""The main job, live: 4 processes x 8 threads call a protected API for 15 s, and share one token at a time.

A real authorization server (Authlib, JWTs that live 5 s), a real API that verifies them, real processes, and the
disk cache. Then, for comparison, the same load with a mint per process.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from real_servers import Api, AuthorizationServer, ClientSpec, start_api, start_authlib

HERE = Path(__file__).resolve().parent

PROCESSES = 4
LIFETIME = 5  # seconds
SECONDS, SECONDS_WITHOUT = 15.0, 6.0
AUDIENCE = "https://api.example.com"


class Worker:
    """One worker process and its latest report."""

    def __init__(self, orders: dict[str, Any]) -> None:
        self.report: dict[str, Any] = {"calls": 0, "failed": 0, "state": "starting"}
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "worker.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C reaches the demo only, which then ends its workers
        )
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(orders) + "\n")
        self.process.stdin.flush()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.report = json.loads(line)

    def end(self) -> None:
        """Kill the process."""
        self.process.kill()
        self.process.wait()
        self._reader.join()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


def run(seconds: float, shared: bool, server: AuthorizationServer, api: Api, folder: str) -> dict[str, Any]:
    """Run the load for that long, with a live line; return the measurements."""
    server.reset()
    client = server.clients[0]
    orders = {
        "shared": shared,
        "token_endpoint": server.token_endpoint,
        "client_id": client.client_id,
        "client_secret": client.client_secret,
        "audience": AUDIENCE,
        "cache": f"disk:{folder}/cache",
        "url": api.base_url + "/hello",
        "deadline": time.time() + seconds,
    }
    workers: list[Worker] = []
    try:
        workers += [Worker(orders) for _ in range(PROCESSES)]
        started = time.monotonic()
        while any(worker.process.poll() is None for worker in workers):
            show(time.monotonic() - started, seconds, workers, server)
            time.sleep(0.25 if sys.stdout.isatty() else 3.0)
            if time.monotonic() - started > seconds + 30:
                raise SystemExit("\nthe workers did not end; is the machine overloaded?")
    finally:
        for worker in workers:
            worker.end()
    added = sorted(sample for worker in workers for sample in worker.report.get("added", []))
    return {
        "seconds": seconds,
        "calls": sum(worker.report["calls"] for worker in workers),
        "failed": sum(worker.report["failed"] for worker in workers),
        "mints": server.mints(),
        "p50": percentile(added, 0.50),
        "p99": percentile(added, 0.99),
    }


def show(elapsed: float, seconds: float, workers: list[Worker], server: AuthorizationServer) -> None:
    """Print one live line: rewritten on a terminal, appended elsewhere."""
    calls = sum(worker.report["calls"] for worker in workers)
    states = ",".join(worker.report["state"] for worker in workers if worker.report["state"]) or "-"
    line = f"  {min(elapsed, seconds):4.1f}/{seconds:.0f} s  calls {calls:6}  mints {server.mints():3}  token: {states}"
    end = "\r" if sys.stdout.isatty() else "\n"
    print(line[:110].ljust(110) if end == "\r" else line, end=end, flush=True)


def percentile(samples: list[float], share: float) -> float:
    """Return the sample below which this share lies, in microseconds."""
    return samples[min(int(len(samples) * share), len(samples) - 1)] * 1e6 if samples else float("nan")


def table(with_us: dict[str, Any], without: dict[str, Any]) -> str:
    """The two runs side by side."""
    rows = [
        ("", "m2m-auth", "a mint per process"),
        ("measured for", f"{with_us['seconds']:.0f} s", f"{without['seconds']:.0f} s"),
        ("calls", with_us["calls"], without["calls"]),
        ("calls without a 200", with_us["failed"], without["failed"]),
        ("mints", with_us["mints"], without["mints"]),
        ("calls per mint", *(f"{run['calls'] / max(run['mints'], 1):.0f}" for run in (with_us, without))),
        ("added by the auth, p50", *(f"{run['p50']:.0f} us" for run in (with_us, without))),
        ("added by the auth, p99", *(f"{run['p99']:.0f} us" for run in (with_us, without))),
    ]
    return "\n".join(f"  {name:24}{ours!s:>12}{theirs!s:>22}" for name, ours, theirs in rows)


def main() -> None:
    """Run the demo and clean up after it."""
    client = ClientSpec("demo", secrets.token_urlsafe(), audiences=(AUDIENCE,))
    print(f"authorization server (Authlib, tokens live {LIFETIME} s) and protected API are starting …", flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="m2m-auth-demo-") as folder,
        start_authlib([client], lifetime=LIFETIME) as server,
        start_api(server) as api,
    ):
        print(f"with m2m-auth: {PROCESSES} processes x 8 threads share the disk cache")
        with_us = run(SECONDS, True, server, api, folder)
        print(f"\nwithout: the same load, each process mints its own (measured for {SECONDS_WITHOUT:.0f} s)")
        without = run(SECONDS_WITHOUT, False, server, api, folder)
    print("\n\n" + table(with_us, without))
    print(
        f"\n{with_us['mints']} mints in {SECONDS:.0f} s: each token was minted once for all {PROCESSES} processes, "
        f"and renewed before its {LIFETIME} s were over."
    )


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("\ninterrupted; servers and workers are stopped")
