"""The function on this machine, for the tests and the measurement: ministack plays AWS's DynamoDB."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from m2m_auth.testing import FakeAuthorizationServer

if TYPE_CHECKING:
    from typing_extensions import Self

HERE = Path(__file__).resolve().parent


def environment(server: FakeAuthorizationServer, dynamodb: str) -> dict[str, str]:
    """The function's configuration. A test machine is slow, so the cache has a longer timeout than in production."""
    return {
        "TOKEN_ENDPOINT": server.token_endpoint,
        "API_URL": server.base_url + "/api",
        "CLIENT_ID": "client",
        "CLIENT_SECRET": "secret",
        "TOKEN_CACHE": f"dynamodb://m2m-tokens?region=eu-west-1&endpoint_url={dynamodb}&timeout=5",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


def without_aws() -> dict[str, str]:
    """The environment without the settings of the developer's AWS account."""
    return {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}


def create_table(settings: dict[str, str]) -> str:
    """Run create_table.py; return its output."""
    command = [sys.executable, str(HERE / "create_table.py")]
    return subprocess.run(
        command, env=without_aws() | settings, capture_output=True, text=True, check=True, timeout=60
    ).stdout


class Instance:
    """One instance of the function, from its cold start until the block ends."""

    def __init__(self, settings: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "instance.py")],
            env=without_aws() | settings,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def wait_until_up(self) -> None:
        """Wait for the end of its cold start."""
        assert self.answer() == {"up": True}

    def send(self, event: dict[str, Any]) -> None:
        """Send an event."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(event) + "\n")
        self._process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """Wait for the answer."""
        assert self._process.stdout is not None
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def invoke(self) -> dict[str, Any]:
        """Send an event and wait for the answer."""
        self.send({})
        return self.answer()

    def freeze(self) -> None:
        """Stop the process without notice, as Lambda does between two invocations."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it continue."""
        self._process.send_signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        self.wait_until_up()
        return self

    def __exit__(self, *error: object) -> None:
        self.end()

    def end(self) -> None:
        """Kill it without notice, as Lambda does."""
        self._process.kill()
        self._process.communicate()
