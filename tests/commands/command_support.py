"""What the command's tests share: a configuration of the proxy, and a runner of the command in this process."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from m2m_auth.commands import main

SECRET = "s3cr3t-of-the-proxy"
TOKEN = "0perator-t0ken-of-the-tests"
CONFIG = """
pepper = "pepper-of-the-tests-32-bytes-long"
cache = "disk:{folder}/cache"
operator_token = "{operator}"

[upstreams.main]
token_endpoint = "{endpoint}"
client_id = "proxy"
client_secret = "{secret}"

[vendors.acme]
audiences = ["https://api.example"]
scopes = ["orders:read", "orders:write"]
mints_per_hour = 4
mints_per_month = 800
"""


class Done(NamedTuple):
    """The outcome of a command."""

    code: int
    """The exit code."""
    out: str
    """What it wrote to stdout."""
    err: str
    """What it wrote to stderr."""


def written(folder: Path, endpoint: str) -> Path:
    """Write a configuration with this token endpoint; return its path."""
    file = folder / "proxy.toml"
    file.write_text(CONFIG.format(folder=folder, endpoint=endpoint, operator=TOKEN, secret=SECRET))
    return file


def exit_code(*words: object) -> int:
    """Run the command in this process, and return its exit code."""
    try:
        return main([str(word) for word in words])
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else 1
