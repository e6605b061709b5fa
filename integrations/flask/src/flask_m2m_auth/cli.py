"""``flask m2m-auth status | token | renew | clear | doctor``: the core's operations on this app's clients."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click
from flask.cli import AppGroup

from m2m_auth import M2MAuthError

from .app_state import current_state

if TYPE_CHECKING:
    from m2m_auth import TokenSource
    from m2m_auth.operations import ClearedReport, TokenReport

__all__ = ["commands"]

commands = AppGroup("m2m-auth", help="Show service tokens, renew and clear them, examine their caches.")
_USER = "flask m2m-auth"
_alias = click.argument("alias")
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@contextmanager
def _errors_as_messages() -> Iterator[None]:
    """An M2MAuthError becomes its message and exit code 1, without a traceback."""
    problem = ""
    try:
        yield
    except M2MAuthError as error:
        problem = str(error)
    if problem:
        raise click.ClickException(problem)


def _source(alias: str) -> TokenSource:
    return current_state(_USER).client(alias).source


@commands.command()
@_json
def status(as_json: bool) -> None:
    """Show each client's token, mints and last failure. It mints nothing."""
    from m2m_auth import operations

    with _errors_as_messages():
        found = operations.reports(current_state(_USER).sources())
    click.echo(operations.as_json(found) if as_json else operations.as_table(found), nl=False)


@commands.command()
@_alias
@_json
@click.option("--reveal", is_flag=True, help="Print the token itself, for a pipe.")
def token(alias: str, as_json: bool, reveal: bool) -> None:
    """Get a good token, minted if there is none, and print its fingerprint."""
    from m2m_auth import operations

    with _errors_as_messages():
        found = _source(alias).token()
    _print(operations.token_report(alias, found, reveal=reveal), as_json=as_json)


@commands.command()
@_alias
@_json
def renew(alias: str, as_json: bool) -> None:
    """Mint a new token now. The budget still applies."""
    from m2m_auth import operations

    with _errors_as_messages():
        found = operations.renew(_source(alias))
    _print(operations.token_report(alias, found), as_json=as_json)


@commands.command()
@_alias
@_json
def clear(alias: str, as_json: bool) -> None:
    """Forget the token in this process and in the shared cache: the next call mints."""
    from m2m_auth import operations

    with _errors_as_messages():
        operations.clear(_source(alias))
    _print(operations.ClearedReport(alias=alias), as_json=as_json)


@commands.command()
@_json
def doctor(as_json: bool) -> None:
    """Examine the settings and each cache: two processes race for its lease."""
    from m2m_auth import operations

    with _errors_as_messages():
        state = current_state(_USER)
        state.sources()  # mistakes in the configuration are reported first
        caches, openers = state.settings.open_caches(), state.settings.openers()
        found = [
            operations.Finding(
                alias=problem.client or "settings",
                ok=not problem.is_error,
                what=f"{problem.setting}: {problem.message}",
                fix=problem.fix,
            )
            for problem in state.settings.problems
        ]
        found += operations.doctor(caches, open_cache=openers)
    if as_json:
        click.echo(operations.as_json(found), nl=False)
    else:
        for finding in found:
            click.echo(operations.as_text(finding))
    wrong = sum(not finding.ok for finding in found)
    if wrong:
        raise click.ClickException(f"{wrong} {'thing is' if wrong == 1 else 'things are'} wrong")


def _print(report: TokenReport | ClearedReport, *, as_json: bool) -> None:
    from m2m_auth import operations

    if as_json:
        click.echo(operations.as_json(report), nl=False)
    else:
        click.echo(operations.as_text(report))
