"""The proxy for a WSGI server: ``gunicorn 'm2m_auth.proxy:app()'``."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from ..oauth2.secrets import Secret
from ..serving import Answer, Request, Service, wsgi
from .configuration.config_file import load
from .token_proxy import TokenProxy

__all__ = ["ENVIRONMENT", "app", "with_operator"]

ENVIRONMENT = "M2M_AUTH_PROXY_CONFIG"
"""The environment variable that names the configuration."""


def app(path: str | Path | None = None) -> Callable[..., Any]:
    """A WSGI application: the token endpoint and, with an ``operator_token``, the operator's page and ``/metrics``.

    Args:
        path: the configuration file; None: the environment variable ``M2M_AUTH_PROXY_CONFIG``, else ``proxy.toml``.

    Raises:
        ConfigurationError: the configuration is wrong; the message names the line.
    """
    proxy = TokenProxy(load(path or os.environ.get(ENVIRONMENT) or "proxy.toml"))
    return wsgi(with_operator(proxy), max_body=proxy.config.max_body)


class _ProxyWithOperator:
    """The token endpoint at its path, and the operator's service at every other path."""

    def __init__(self, proxy: TokenProxy, operator: Service) -> None:
        self._proxy, self._operator, self._path = proxy, operator, proxy.config.path

    def answer(self, request: Request, /) -> Answer:
        """The answer to one request."""
        return (self._proxy if request.path == self._path else self._operator).answer(request)


def with_operator(proxy: TokenProxy) -> Service:
    """The proxy with its operator's page and metrics, if there is an ``operator_token``; else the proxy alone."""
    token = cast("Secret | None", proxy.config.operator_token)
    if token is None:
        return proxy
    from .operator_access import Operator

    pepper = cast("Secret", proxy.config.pepper).reveal_bytes()
    operator = Operator(
        token.reveal(),
        proxy.ledger.report,
        proxy.counters,
        durations=proxy.durations.read,
        pepper=pepper,
        path=proxy.config.operator_path,
        metrics_path=proxy.config.metrics_path,
        trusted_proxies=proxy.config.trusted_proxies,
    )
    return _ProxyWithOperator(proxy, operator)
