"""``manage.py m2m_auth status | token ALIAS | renew ALIAS | clear ALIAS | doctor``: the core's operations."""

from __future__ import annotations

import os
from argparse import ArgumentParser
from functools import partial
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError

from django_m2m_auth import m2m
from django_m2m_auth.checks import surprises
from m2m_auth import M2MAuthError
from m2m_auth.caches import TokenCache
from m2m_auth.operations import (
    ClearedReport,
    Finding,
    TokenReport,
    as_json,
    as_table,
    as_text,
    clear,
    doctor,
    renew,
    reports,
    token_report,
)

__all__ = ["Command", "open_cache"]


class Command(BaseCommand):  # type: ignore[misc] # Django has no types
    """Shows the project's service tokens, renews and clears them, and examines the caches."""

    help = "Show service tokens, renew and clear them, examine their caches."
    requires_system_checks: list[str] = []  # noqa: RUF012 - Django's own; one bad client must not hide the others

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Adds one sub-command for each operation."""
        operations: Any = parser.add_subparsers(dest="operation", required=True)
        about = {
            "status": "Show each client's token, mints and last failure. It mints nothing.",
            "token": "Get a good token, minted if there is none, and print its fingerprint.",
            "renew": "Mint a new token now. The budget still applies.",
            "clear": "Forget the token in this process and in the shared cache: the next call mints.",
            "doctor": "Examine the settings and each cache: two processes race for its lease.",
        }
        for name, words in about.items():
            operation = operations.add_parser(name, help=words, description=words)
            if name in ("token", "renew", "clear"):
                operation.add_argument("alias", help='a key of M2M_AUTH["CLIENTS"]')
            if name == "token":
                operation.add_argument("--reveal", action="store_true", help="print the token itself, for a pipe")
            operation.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *, operation: str, **options: Any) -> None:
        """Runs one operation. An error becomes a CommandError with its message."""
        problem = ""
        try:
            getattr(self, f"_{operation}")(options)
        except (ImproperlyConfigured, M2MAuthError) as error:
            problem = str(error)
        if problem:
            raise CommandError(problem)

    def _status(self, options: dict[str, Any]) -> None:
        found = reports(m2m.sources())
        self.stdout.write(as_json(found) if options["json"] else as_table(found), ending="")

    def _token(self, options: dict[str, Any]) -> None:
        alias = options["alias"]
        self._print(options, token_report(alias, m2m[alias].source.token(), reveal=options["reveal"]))

    def _renew(self, options: dict[str, Any]) -> None:
        alias = options["alias"]
        self._print(options, token_report(alias, renew(m2m[alias].source)))

    def _clear(self, options: dict[str, Any]) -> None:
        clear(m2m[options["alias"]].source)
        self._print(options, ClearedReport(alias=options["alias"]))

    def _doctor(self, options: dict[str, Any]) -> None:
        found = [*_settings_findings(), *doctor(m2m.caches, open_cache=_openers())]
        if options["json"]:
            self.stdout.write(as_json(found), ending="")
        else:
            for finding in found:
                self.stdout.write(as_text(finding))
        wrong = sum(not finding.ok for finding in found)
        if wrong:
            raise CommandError(f"{wrong} {'thing is' if wrong == 1 else 'things are'} wrong")

    def _print(self, options: dict[str, Any], report: TokenReport | ClearedReport) -> None:
        if options["json"]:
            self.stdout.write(as_json(report), ending="")
        else:
            self.stdout.write(as_text(report))


def _settings_findings() -> list[Finding]:
    """The mistakes and surprises in the settings, as findings."""
    found = m2m.configuration
    return [
        Finding(
            alias=problem.client or "settings",
            ok=not problem.is_error,
            what=f"{problem.setting}: {problem.message}",
            fix=problem.fix,
        )
        for problem in (*found.problems, *surprises(found))
    ]


def _openers() -> dict[str, Any]:
    """How another process opens each shared cache. Without a settings module none can, so threads race instead."""
    module = os.environ.get("DJANGO_SETTINGS_MODULE")
    shared = [alias for alias, cache in m2m.caches.items() if cache.capabilities.shared]
    return {alias: partial(open_cache, module, alias) for alias in shared} if module else {}


def open_cache(settings_module: str, alias: str) -> TokenCache:
    """The cache with this alias, in a new process that has not set Django up."""
    import django
    from django.apps import apps

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", settings_module)
    if not apps.ready:
        django.setup()
    return m2m.caches[alias]
