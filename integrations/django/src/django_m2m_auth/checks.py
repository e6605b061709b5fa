"""System checks: the problems of the settings, as ``manage.py check`` tells them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning  # noqa: A004 - Django's own name
from django.core.exceptions import ImproperlyConfigured

from .settings import read_configuration, warnings_of_deployment
from .problems import Problem, Problems

__all__ = ["check_deployment", "check_settings"]

_MIDDLEWARE = "django_m2m_auth.receiving.M2MBearerMiddleware"


def check_settings(app_configs: Any, **_: Any) -> list[CheckMessage]:  # noqa: ARG001
    """What is wrong with M2M_AUTH: ``m2m_auth.E…`` and ``m2m_auth.W…``."""
    return [_message(problem) for problem in (*read_configuration().problems, *_problems_of_receiving())]


def check_deployment(app_configs: Any, **_: Any) -> list[CheckMessage]:  # noqa: ARG001
    """What else matters in production: ``check --deploy``."""
    return [_message(problem) for problem in warnings_of_deployment()]


def _problems_of_receiving() -> Problems:
    """What keeps the middleware, or a view with ``@require_m2m``, from verifying tokens."""
    problems, given = Problems(), getattr(settings, "M2M_AUTH", {})
    if isinstance(given, Mapping) and (given.get("RECEIVING") or _MIDDLEWARE in settings.MIDDLEWARE):
        from .receiving import receiving_verifier  # only a project that receives needs what verifies

        try:
            receiving_verifier()
        except ImproperlyConfigured as error:
            problems.refused("E012", "the receiving side", error)
    return problems


def _message(problem: Problem) -> CheckMessage:
    kind = Error if problem.is_error else Warning
    return kind(f"{problem.where}: {problem.message}", hint=problem.hint or None, id=problem.id)
