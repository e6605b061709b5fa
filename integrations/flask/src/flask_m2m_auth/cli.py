"""``flask m2m-auth status | token | renew | clear | doctor``: the core's operations on this app's clients."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import click
from flask.cli import AppGroup

from m2m_auth import M2MAuthError

from .state import current_state

if TYPE_CHECKING:
    from m2m_auth import AccessToken, TokenSource

__all__ = ["commands"]

commands = AppGroup("m2m-auth", help="Service tokens: look at them, renew and clear them, examine their caches.")
_alias = click.argument("alias")
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@contextmanager
def _errors_as_words() -> Iterator[None]:
    """An error of ours becomes its message and exit code 1, without a traceback."""
    problem = ""
    try:
        yield
    except M2MAuthError as error:
        problem = str(error)
    if problem:
        raise click.ClickException(problem)


def _source(alias: str) -> TokenSource:
    return current_state("flask m2m-auth").client(alias).source


@commands.command()
@_json
def status(as_json: bool) -> None:
    """Show each client's token, mints and last failure; mint nothing."""
    from m2m_auth import operations

    with _errors_as_words():
        found = operations.reports(current_state("flask m2m-auth").sources())
    click.echo(operations.as_json(found) if as_json else operations.as_table(found), nl=False)


@commands.command()
@_alias
@_json
@click.option("--reveal", is_flag=True, help="Print the token itself, alone: for a pipe, not for a log.")
def token(alias: str, as_json: bool, reveal: bool) -> None:
    """Get a good token, minted if there is none, and print its fingerprint."""
    with _errors_as_words():
        found = _source(alias).token()
    if reveal:
        click.echo(json.dumps({"access_token": found.value}) if as_json else found.value)
    else:
        _show("token", alias, found, as_json)


@commands.command()
@_alias
@_json
def renew(alias: str, as_json: bool) -> None:
    """Have a new token minted now; the budget still applies."""
    from m2m_auth import operations

    with _errors_as_words():
        found = operations.renew(_source(alias))
    _show("renewed", alias, found, as_json)


@commands.command()
@_alias
@_json
def clear(alias: str, as_json: bool) -> None:
    """Forget the token, here and in the shared cache: the next call mints."""
    from m2m_auth import operations

    with _errors_as_words():
        operations.clear(_source(alias))
    click.echo(json.dumps({"alias": alias, "cleared": True}) if as_json else f"{alias}: cleared; the next call mints")


@commands.command()
@_json
def doctor(as_json: bool) -> None:
    """Examine each cache, its lease by a race; exit code 1 if something is wrong."""
    from m2m_auth import operations

    with _errors_as_words():
        state = current_state("flask m2m-auth")
        state.sources()  # whatever is wrong with the clients' configuration is said first
        found = operations.doctor(state.caches(), open_cache=state.openers())
    if as_json:
        click.echo(operations.as_json(found), nl=False)
    else:
        for finding in found:
            click.echo(f"{'ok   ' if finding.ok else 'WRONG'}  {finding.alias}: {finding.what}")
            if finding.fix:
                click.echo(f"       Fix: {finding.fix}")
    if not all(finding.ok for finding in found):
        click.get_current_context().exit(1)


def _show(what: str, alias: str, found: AccessToken, as_json: bool) -> None:
    expires = datetime.fromtimestamp(found.expires_at, timezone.utc).isoformat(timespec="seconds")
    if as_json:
        facts = {"alias": alias, "fingerprint": found.fingerprint, "expires_at": found.expires_at}
        click.echo(json.dumps({**facts, "expires_at_iso": expires, "scope": found.scope}))
    else:
        click.echo(f"{alias}: {what} {found.fingerprint}, expires {expires}")
