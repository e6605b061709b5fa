"""System checks: the problems of the settings, as ``manage.py check`` tells them."""

from __future__ import annotations

from typing import Any

from django.core.checks import CheckMessage, Error, Warning  # noqa: A004 - Django's own name

from .configuration import read_configuration, warnings_of_deployment
from .problems import Problem

__all__ = ["check_deployment", "check_settings"]


def check_settings(app_configs: Any, **_: Any) -> list[CheckMessage]:  # noqa: ARG001
    """What is wrong with M2M_AUTH: ``m2m_auth.E…`` and ``m2m_auth.W…``."""
    return [_message(problem) for problem in read_configuration().problems]


def check_deployment(app_configs: Any, **_: Any) -> list[CheckMessage]:  # noqa: ARG001
    """What else matters in production: ``check --deploy``."""
    return [_message(problem) for problem in warnings_of_deployment()]


def _message(problem: Problem) -> CheckMessage:
    kind = Error if problem.is_error else Warning
    return kind(f"{problem.where}: {problem.message}", hint=problem.hint or None, id=problem.id)
