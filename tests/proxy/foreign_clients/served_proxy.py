"""The proxy as an operator runs it: a configuration in TOML, and the command, or gunicorn with two workers."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

COMMAND = [sys.executable, "-m", "m2m_auth.commands", "proxy"]


def write_config(folder: Path, token_endpoint: str, vendors: Mapping[str, Mapping[str, Any]], **more: Any) -> Path:
    """Write proxy.toml; ``more`` are top-level keys, ``upstream`` further keys of the one upstream."""
    upstream = {"token_endpoint": token_endpoint, **more.pop("upstream", {})}
    tables = {"upstreams.main": upstream, **{f'vendors."{name}"': vendor for name, vendor in vendors.items()}}
    top = {"pepper": "a pepper of sixteen bytes or more", "cache": f"disk:{folder / 'cache'}", **more}
    lines = [f"{key} = {json.dumps(value)}" for key, value in top.items()]
    for name, table in tables.items():
        lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
    path = folder / "proxy.toml"
    path.write_text("\n".join(lines) + "\n")
    path.chmod(0o600)
    return path


def add_vendor(config: Path, name: str, *options: str) -> str:
    """Register a vendor as an operator does; the secret that was printed."""
    command = [*COMMAND, "add-vendor", name, "--config", str(config), *options]
    done = subprocess.run(command, stdout=subprocess.PIPE, timeout=60, check=True)
    shown = re.search(r"^client_secret: (\S+)$", done.stdout.decode(), re.MULTILINE)
    assert shown is not None, "it prints the secret in a line of its own"
    return shown[1]


@contextmanager
def running(config: Path, *, gunicorn: bool = False) -> Iterator[str]:
    """The token endpoint's URL while the block runs."""
    command: Sequence[str] = [*COMMAND, "--config", str(config), "--port", "0"]
    if gunicorn:
        # Two workers, threads and keep-alive; each worker has its own memory, and the disk cache in common.
        options = ["--workers=2", "--threads=4", "--bind=127.0.0.1:0", "--keep-alive=30"]
        command = [sys.executable, "-m", "gunicorn", *options, f"m2m_auth.proxy:app({str(config)!r})"]
    log = config.with_name("log")
    with log.open("wb") as output:
        server = subprocess.Popen(command, stdout=output, stderr=output, env=_quiet(), start_new_session=True)
    try:
        until = time.monotonic() + 30
        while not (found := re.search(r"http://127\.0\.0\.1:[1-9]\d*", log.read_text(errors="replace"))):
            assert time.monotonic() < until, log.read_text(errors="replace")
            assert server.poll() is None, log.read_text(errors="replace")
            time.sleep(0.02)
        yield f"{found[0]}/oauth/token"
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(30)
        finally:
            if server.poll() is None:
                os.killpg(server.pid, signal.SIGKILL)
                server.wait()


def _quiet() -> dict[str, str]:
    """The environment of this process, without settings that slow a server down or turn warnings into errors."""
    unwanted = {"PYTHONWARNINGS", "PYTHONDEVMODE", "DJANGO_SETTINGS_MODULE"}
    return {name: value for name, value in os.environ.items() if name not in unwanted}
