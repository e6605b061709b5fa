"""The command ``m2m-auth`` and its command line: ``m2m-auth proxy`` runs the token proxy and keeps its configuration.

Exit codes: 0 success, 1 failure, 2 wrong usage or configuration. Results go to stdout, everything else to stderr.
``python -m m2m_auth.commands`` is the same command.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import ConfigurationError, M2MAuthError
from . import proxy

__all__ = ["main"]

_VARIABLE = "M2M_AUTH_PROXY_CONFIG"
"""The same name as ``m2m_auth.proxy.application.ENVIRONMENT``. A help text does not need to import the proxy."""

_PROXY_EXAMPLES = """\
examples:
  m2m-auth proxy init                  write proxy.toml
  m2m-auth proxy add-vendor acme       give the vendor acme a secret
  m2m-auth proxy check                 print what the configuration says
  m2m-auth proxy --port 8080           run the proxy

Under gunicorn: M2M_AUTH_PROXY_CONFIG=proxy.toml gunicorn 'm2m_auth.proxy:app()'
"""
_INIT_EXAMPLES = """\
example:
  m2m-auth proxy --config /etc/token-proxy/proxy.toml init
"""
_CHECK_EXAMPLES = """\
example:
  m2m-auth proxy --config /etc/token-proxy/proxy.toml check
"""
_ADD_VENDOR_EXAMPLES = """\
examples:
  m2m-auth proxy add-vendor acme
  m2m-auth proxy add-vendor acme --audience https://api.example.com --scope orders:read --mints-per-month 800

A second add-vendor for the same vendor adds a second secret, so that the secret can be rotated.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code. Wrong usage raises argparse's SystemExit(2), ``--help`` SystemExit(0).

    Args:
        argv: the words after the command's name; None: those of this process.
    """
    arguments = _parser().parse_args(argv)
    try:
        arguments.run(arguments)
    except ConfigurationError as error:
        return _failed(str(error), 2)
    except (M2MAuthError, OSError) as error:
        return _failed(str(error), 1)
    except KeyboardInterrupt:
        return _failed("interrupted", 1)
    return 0


def _failed(why: str, code: int) -> int:
    sys.stderr.write(f"m2m-auth: {why}\n")
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="m2m-auth",
        description="One OAuth 2.0 client-credentials token per lifetime, for a whole fleet.",
        epilog="example:\n  m2m-auth proxy --help\n",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_proxy(commands)
    return parser


def _add_proxy(commands: Any) -> None:
    own: argparse.ArgumentParser
    default = Path(os.environ.get(_VARIABLE) or "proxy.toml")
    config_help = f"the configuration file (default: ${_VARIABLE}, or proxy.toml in this folder)"
    own = commands.add_parser(
        "proxy",
        help="run the token proxy, or keep its configuration",
        description="Run the token proxy on waitress until Ctrl-C or SIGTERM, or run one of the commands below.",
        epilog=_PROXY_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    own.add_argument("--config", type=Path, metavar="FILE", default=default, help=config_help)
    own.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    own.add_argument("--port", type=_port, default=8080, help="the port; 0 takes a free one (default: %(default)s)")
    own.add_argument(
        "--threads", type=_at_least_one, default=8, help="requests at the same time (default: %(default)s)"
    )
    own.set_defaults(run=_serve)
    further = own.add_subparsers(title="commands", metavar="COMMAND")

    def command(name: str, words: str, examples: str) -> argparse.ArgumentParser:
        made = further.add_parser(
            name,
            help=words,
            description=words[:1].upper() + words[1:] + ".",
            epilog=examples,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        # No default: it would replace a --config that stands before the command.
        made.add_argument("--config", type=Path, metavar="FILE", default=argparse.SUPPRESS, help=config_help)
        return made

    init = command("init", "write a commented configuration with a new pepper, readable for you alone", _INIT_EXAMPLES)
    init.set_defaults(run=_init)
    check = command("check", "read the configuration and print what it says, without any request", _CHECK_EXAMPLES)
    check.set_defaults(run=_check)
    add = command(
        "add-vendor", "give a vendor a secret, and print it; only its verifier is stored", _ADD_VENDOR_EXAMPLES
    )
    add.add_argument("name", metavar="NAME", help="the vendor's client_id at the proxy")
    add.add_argument("--audience", action="append", default=[], help="an audience that it may ask for; repeatable")
    add.add_argument("--scope", action="append", default=[], help="a scope that it may ask for; repeatable")
    add.add_argument("--upstream", metavar="NAME", help="its upstream, if there are several")
    add.add_argument("--mints-per-hour", type=_at_least_one, metavar="N", help="its mint budget for a UTC hour")
    add.add_argument("--mints-per-month", type=_at_least_one, metavar="N", help="its mint budget for a UTC month")
    add.set_defaults(run=_add_vendor)


def _serve(given: argparse.Namespace) -> None:
    proxy.serve(given.config, given.host, given.port, given.threads)


def _init(given: argparse.Namespace) -> None:
    proxy.init(given.config)


def _check(given: argparse.Namespace) -> None:
    proxy.check(given.config)


def _add_vendor(given: argparse.Namespace) -> None:
    options = {name: getattr(given, name) for name in ("upstream", "mints_per_hour", "mints_per_month")}
    proxy.add_vendor(given.config, given.name, audiences=given.audience, scopes=given.scope, options=options)


def _port(text: str) -> int:
    return _number(text, 0, 65535)


def _at_least_one(text: str) -> int:
    return _number(text, 1, 10**9)


def _number(text: str, least: int, most: int) -> int:
    if not (text.isascii() and text.isdigit() and least <= int(text[:12]) <= most):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} to {most}")
    return int(text)


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"m2m-auth {version('m2m-auth')}"
    except PackageNotFoundError:
        return "m2m-auth, not installed"
