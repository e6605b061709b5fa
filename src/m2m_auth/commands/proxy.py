"""What ``m2m-auth proxy`` does: run the token proxy, and keep its configuration. ``main.py`` has the command line."""

from __future__ import annotations

import json
import logging
import os
import secrets
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from ..errors import ConfigurationError, missing_extra
from ..presentation.wording import cache_name, one_line
from ..values import replace

__all__ = ["add_vendor", "check", "init", "serve"]

_MOST_READ = 65536
"""Bytes of a body that waitress reads. The proxy's own limit is smaller, and its answer is JSON."""


def serve(path: Path, host: str, port: int, threads: int) -> None:
    """Run the proxy on waitress until SIGINT or SIGTERM; then finish the requests under way, for 5 s at most.

    Args:
        path: the configuration.
        host: the address to listen on.
        port: the port; 0 takes a free one. The first line of stdout has the URL.
        threads: requests that are answered at the same time.

    Raises:
        ConfigurationError: the configuration is wrong, or waitress is not installed.
        OSError: the address or the port cannot be used.
    """
    from ..proxy import TokenProxy, load
    from ..proxy.application import with_operator
    from ..serving import wsgi

    try:
        import waitress  # type: ignore[import-untyped]
    except ImportError as error:
        raise ConfigurationError(missing_extra("m2m-auth proxy", error, "proxy")) from None
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # it warns of every request that waits for a thread
    proxy = TokenProxy(load(path))
    sockets: dict[int, Any] = {}
    signal.signal(signal.SIGTERM, _stop)
    try:
        try:
            server = cast("Any", waitress).create_server(
                wsgi(with_operator(proxy), max_body=proxy.config.max_body),
                map=sockets,
                host=host,
                port=port,
                threads=threads,
                ident="",
                max_request_body_size=_MOST_READ,
                connection_limit=1000,
                channel_timeout=60,
                asyncore_use_poll=True,
                clear_untrusted_proxy_headers=False,  # the proxy counts trusted_proxies itself
            )
        except (OSError, ValueError) as error:
            raise OSError(f"cannot listen on {host} port {port}: {getattr(error, 'strerror', None) or error}") from None
        many = len(proxy.config.vendors)
        _say(f"{_url(server, host)}{proxy.config.path} for {many} {'vendor' if many == 1 else 'vendors'}\n")
        server.run()
    except KeyboardInterrupt:  # raised before server.run(), which handles later ones itself
        pass
    finally:
        for each in list(sockets.values()):
            each.close()
        proxy.close()


def check(path: Path) -> None:
    """Print what a configuration says, without its secrets and without any request.

    Raises:
        ConfigurationError: the configuration is wrong; the message names the line.
    """
    from ..proxy import TokenProxy, load
    from ..proxy.application import with_operator

    proxy = TokenProxy(load(path))
    with_operator(proxy)  # raises what the start would raise, without any I/O
    config = proxy.config
    on = f"{config.operator_path} and {config.metrics_path}"
    page = "off: there is no operator_token" if config.operator_token is None else f"on: {on}"
    lines = [
        ("token endpoint", config.path),
        ("cache", cache_name(config.cache)),
        ("trusted proxies", f"{config.trusted_proxies}"),
        ("operator's page", page),
    ]
    for name, upstream in config.upstreams.items():
        who = "vendors use their own credentials" if upstream.client_id is None else f"as client {upstream.client_id}"
        lines.append((f"upstream {name}", f"{upstream.token_endpoint}, {who}"))
    for name, vendor in config.vendors.items():
        limits = (("an hour", vendor.mints_per_hour), ("a month", vendor.mints_per_month))
        budget = [f"{limit:,} mints {period}" for period, limit in limits if limit is not None]
        words = [
            f"at {vendor.upstream}",
            f"audiences {' '.join(vendor.audiences) or 'none'}",
            f"scopes {' '.join(vendor.scopes) or 'none'}",
            " and ".join(budget) or "no mint budget",
        ]
        if config.upstreams[vendor.upstream].client_id is not None and not vendor.verifiers:
            words.append(f"NO SECRET YET. Fix: m2m-auth proxy --config {path} add-vendor {name}")
        lines.append((f"vendor {name}", "; ".join(words)))
    wide = max(len(what) for what, _ in lines)
    _say("".join(f"{one_line(what).ljust(wide)}  {one_line(words)}\n" for what, words in lines))


def add_vendor(
    path: Path, name: str, *, audiences: Sequence[str], scopes: Sequence[str], options: Mapping[str, str | int | None]
) -> None:
    """Give a vendor a secret, and print it. It cannot be printed again, since only its verifier is stored.

    Args:
        path: the configuration.
        name: the vendor's client id.
        audiences: audiences that it may ask for.
        scopes: scopes that it may ask for.
        options: more keys of ``[vendors.NAME]``, which is appended to the configuration; None: not given.

    Raises:
        ConfigurationError: the configuration is wrong, or has a table for this vendor already and there are options.
        OSError: a file cannot be written.
    """
    from ..oauth2.secrets import Secret
    from ..proxy import VendorConfig, add_vendor, load
    from ..proxy.configuration.config_file import read_document
    from ..proxy.secret_verifiers import verifier

    config = load(path)
    if all(upstream.client_id is None for upstream in config.upstreams.values()):
        raise ConfigurationError(
            f"{path}: no upstream has a client_id, so vendors use their own credentials there, and the proxy has no "
            f"secrets to give. Fix: add a table [vendors.{name}], or set client_id and client_secret of an upstream"
        )
    given = {key: value for key, value in options.items() if value is not None}
    if given and name in read_document(path).data.get("vendors", {}):
        raise ConfigurationError(f"{path} has [vendors.{name}] already. Fix: change {', '.join(given)} there")
    trial = replace(config.vendors.get(name, VendorConfig()), **cast("Any", given))
    # The check of the next start, before anything is written.
    replace(
        trial,
        audiences=(*trial.audiences, *audiences),
        scopes=(*trial.scopes, *scopes),
        verifiers=(verifier(cast("Secret", config.pepper), name, Secret("any")),),
    ).checked(name, config.upstreams)
    secret = add_vendor(path, name, audiences=audiences, scopes=scopes)
    try:
        if given:
            keys = "".join(f"{key} = {json.dumps(value)}\n" for key, value in given.items())
            with path.open("a", encoding="utf-8") as file:
                file.write(f"\n[vendors.{json.dumps(name)}]\n{keys}")
    finally:
        _say(f"client_id: {name}\nclient_secret: {secret}\n")
    sys.stderr.write("The secret is not stored and cannot be shown again. Restart a running proxy.\n")
    load(path)  # raises what the next start would raise


_TEMPLATE = """\
# The token proxy, run by: m2m-auth proxy --config {name}
# A secret is a text, {{ env = "VARIABLE" }}, or {{ file = "PATH" }} relative to this file.

# The key of the verifiers of the vendors' secrets. It is the same on all hosts. If you change it, every vendor needs a
# new secret.
pepper = "{pepper}"

# The cache of all workers and hosts: "disk:" for one host, "valkey://host:6379/0" for several.
cache = "disk:"

# The number of your reverse proxies in front of this one. Each appends to X-Forwarded-For.
trusted_proxies = 0

# Switches on /operator, for a browser, and /metrics, for Prometheus. Both need this token.
# operator_token = "{token}"

[upstreams.main]
token_endpoint = "https://tenant.example/oauth/token"
# With these two keys the proxy is the only client there, and gives its vendors secrets: m2m-auth proxy add-vendor NAME
# Without them each vendor uses its own credentials there.
# client_id = "token-proxy"
# client_secret = {{ env = "TOKEN_PROXY_CLIENT_SECRET" }}

# One table for each vendor, by its client id: what it may ask for, and its mint budget.
[vendors.acme]
audiences = ["https://api.example.com"]
scopes = ["orders:read"]
mints_per_hour = 4
mints_per_month = 800
"""


def init(path: Path) -> None:
    """Write a commented configuration with a new pepper, readable for its owner alone.

    Raises:
        FileExistsError: the file exists; it is not changed.
        OSError: the file cannot be written.
    """
    text = _TEMPLATE.format(name=path.name, pepper=secrets.token_urlsafe(32), token=secrets.token_urlsafe(32))
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise FileExistsError(f"{path} exists already, and was not changed. Fix: --config with another name") from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    _say(f"Wrote {path}. Next: enter your authorization server and vendors, then run: m2m-auth proxy check\n")


def _stop(*_: object) -> None:
    raise KeyboardInterrupt


def _url(server: Any, host: str) -> str:
    port = server.effective_listen[0][1] if hasattr(server, "effective_listen") else server.effective_port
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
