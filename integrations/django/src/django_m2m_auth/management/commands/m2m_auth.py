"""``manage.py m2m_auth status | token ALIAS | renew ALIAS | clear ALIAS | doctor``."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError

from django_m2m_auth import m2m
from django_m2m_auth.examining import examine
from m2m_auth import AccessToken, M2MAuthError
from m2m_auth.operations import as_json, as_table, clear, renew, reports

__all__ = ["Command"]


class Command(BaseCommand):  # type: ignore[misc] # Django has no types
    """Looks at the project's service tokens, renews and clears them, and examines the caches."""

    help = "Service tokens: status, token, renew, clear, doctor."
    requires_system_checks: list[str] = []  # noqa: RUF012 - Django's own; one bad client must not hide the others

    def add_arguments(self, parser: ArgumentParser) -> None:
        """One sub-command each."""
        operations: Any = parser.add_subparsers(dest="operation", required=True)
        about = {
            "status": "every client: state, expiry, mints, budget, last failure; mints nothing",
            "token": "get a token, minted if need be; prints its fingerprint",
            "renew": "have a new token minted now; single flight and the budget still apply",
            "clear": "forget a token here and in the shared cache: the next call mints",
            "doctor": "try each cache, race for its lease with two processes, and say what is wrong",
        }
        for name, words in about.items():
            operation = operations.add_parser(name, help=words, description=words)
            if name in ("token", "renew", "clear"):
                operation.add_argument("alias", help="a key of M2M_AUTH['CLIENTS']")
            if name == "token":
                operation.add_argument("--reveal", action="store_true", help="print the token itself")
            operation.add_argument("--json", action="store_true", help="for programs")

    def handle(self, *, operation: str, **options: Any) -> None:
        """Runs one of them. What goes wrong is a CommandError in words."""
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
        token = m2m[options["alias"]].source.token()
        if options["reveal"] and not options["json"]:
            self.stdout.write(token.value)
            return
        facts = _facts(options["alias"], token)
        self._tell(options, facts | {"token": token.value} if options["reveal"] else facts)

    def _renew(self, options: dict[str, Any]) -> None:
        self._tell(options, _facts(options["alias"], renew(m2m[options["alias"]].source)))

    def _clear(self, options: dict[str, Any]) -> None:
        clear(m2m[options["alias"]].source)
        if options["json"]:
            self.stdout.write(json.dumps({"client": options["alias"], "cleared": True}))
        else:
            self.stdout.write(f"{options['alias']}: cleared; the next call mints")

    def _doctor(self, options: dict[str, Any]) -> None:
        problems = [str(problem) for problem in m2m.configuration.problems]
        findings = examine()
        if options["json"]:
            facts = {"settings": problems, "caches": json.loads(as_json(findings))}
            self.stdout.write(json.dumps(facts, indent=2))
        else:
            for problem in problems:
                self.stdout.write(f"settings: {problem}")
            for finding in findings:
                fix = f" Fix: {finding.fix}" if finding.fix else ""
                self.stdout.write(f"{finding.alias}: {'ok' if finding.ok else 'WRONG'}: {finding.what}{fix}")
        wrong = sum(not finding.ok for finding in findings)
        wrong += sum(problem.is_error for problem in m2m.configuration.problems)
        if wrong:
            raise CommandError(f"{wrong} {'thing is' if wrong == 1 else 'things are'} wrong")

    def _tell(self, options: dict[str, Any], facts: dict[str, Any]) -> None:
        if options["json"]:
            self.stdout.write(json.dumps(facts))
        else:
            self.stdout.write(f"{facts['client']}: token {facts['fingerprint']}, {facts['seconds_left']} s left")


def _facts(alias: str, token: AccessToken) -> dict[str, Any]:
    import time

    left = max(round(token.expires_at - time.time()), 0)
    return {"client": alias, "fingerprint": token.fingerprint, "expires_at": token.expires_at, "seconds_left": left}
