"""The parent's side of a server process: start it, read its address, call it, end it."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode
from urllib.request import ProxyHandler, Request, build_opener

if TYPE_CHECKING:
    from typing_extensions import Self

READY_TIMEOUT = 60.0
"""Seconds that a server may take to start."""

STOP_TIMEOUT = 5.0
"""Seconds between SIGTERM and SIGKILL."""


class ServerError(RuntimeError):
    """A server did not start. The message has the end of its stderr."""


class ServerProcess:
    """A server process on a free loopback port. A context manager: the server ends with the block.

    It also ends with this process, even after kill -9: it reads a pipe that this process holds open.
    """

    def __init__(self, module: str, config: Mapping[str, Any]) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="m2m-auth-server-"))
        self._stderr = (self.folder / "stderr.txt").open("w+b")
        self._last_words = ""
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"{__package__}.{module}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env=_quiet_environment(),
            start_new_session=True,  # Ctrl-C reaches only the parent, which needs the server until it has cleaned up
        )
        try:
            self.base_url = self._await_ready(module, {**config, "folder": str(self.folder)})
        except BaseException:
            self.stop()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {getattr(self, 'base_url', 'not ready')}>"

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The child, for tests that kill it or close its stdin."""
        return self._process

    def stop(self) -> None:
        """End the server, by force after a timeout, and remove its folder. A second call does nothing."""
        if self._stderr.closed:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._last_words = self.stderr_tail()
        for pipe in (self._process.stdin, self._process.stdout, self._stderr):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()  # type: ignore[union-attr]  # all three are pipes or files here
        shutil.rmtree(self.folder, ignore_errors=True)

    def stderr_tail(self, characters: int = 4000) -> str:
        """Return the end of the server's stderr, also after it was stopped."""
        if self._stderr.closed:
            return self._last_words
        # pread does not move the file position, which the child shares as its place to write.
        size = os.fstat(self._stderr.fileno()).st_size
        data = os.pread(self._stderr.fileno(), characters, max(0, size - characters))
        return data.decode(errors="replace")

    def get(self, path: str) -> Any:
        """Return the JSON of a control path."""
        return self._call(Request(self.base_url + path))

    def post(self, path: str, value: object = None) -> Any:
        """Send JSON to a control path and return the JSON of the answer."""
        body, headers = json.dumps(value).encode(), {"Content-Type": "application/json"}
        return self._call(Request(self.base_url + path, body, headers))

    def post_form(self, url: str, form: Mapping[str, str], authorization: str) -> Any:
        """Send a form with this authorization to an endpoint of the server; return the JSON, if any."""
        return self._call(Request(url, urlencode(form).encode(), {"Authorization": authorization}))

    def _call(self, request: Request) -> Any:
        """Send a control request and return the JSON of the answer, if any."""
        # Loopback is reached directly, without the proxies of the environment.
        with build_opener(ProxyHandler({})).open(request, timeout=READY_TIMEOUT) as response:
            body = response.read()
        return json.loads(body) if body else None

    def _await_ready(self, module: str, config: Mapping[str, Any]) -> str:
        """Send the configuration and wait for the one line with the server's address."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        with contextlib.suppress(BrokenPipeError):  # a child that died at once is reported below
            stdin.write(json.dumps(config).encode() + b"\n")
            stdin.flush()
        started = time.monotonic()
        ready, _, _ = select.select([stdout], [], [], READY_TIMEOUT)
        line = stdout.readline() if ready else b""
        if not line:
            seconds = time.monotonic() - started
            raise ServerError(f"{module} is not ready after {seconds:.1f} s. Its stderr:\n{self.stderr_tail()}")
        return str(json.loads(line)["base_url"])


def _quiet_environment() -> dict[str, str]:
    """Return the environment without proxies, and without settings that turn warnings into errors."""
    unwanted = {"PYTHONWARNINGS", "PYTHONDEVMODE"}
    return {k: v for k, v in os.environ.items() if k not in unwanted and not k.lower().endswith("_proxy")}
