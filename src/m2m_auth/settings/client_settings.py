"""One client of the settings: the table of its keys, and the reader that checks each of them.

A new option of ``TokenSource`` or ``M2MAuth`` becomes a setting by one line of :data:`CLIENT_KEYS`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, NoReturn

from .. import AnswerRules, MintBudget, RenewalPolicy, TokenSource
from ..errors import ConfigurationError
from ..http.rejection_check import RejectionCheck
from ..oauth2.origin_policy import OriginPolicy
from ..oauth2.secrets import concealed
from ..oauth2.token_header import AUTHORIZATION, TokenHeader
from ..values import Value
from .problems import Problem, Spelling, nearest, problem_of
from .values import (
    ImportPath,
    as_flag,
    as_flag_or_else,
    as_list,
    as_text,
    as_texts,
    fields_of,
    import_path,
    looks_like_a_path,
    mapping,
    no_package,
    record_of,
)

__all__ = ["CLIENT_KEYS", "OPTION_NAMES", "ClientSettings", "ClientKey", "in_words_of_settings", "read_client"]

RECORDS = {"policy": RenewalPolicy, "budget": MintBudget, "answers": AnswerRules}


class ClientKey(Value):
    """One key of a client's settings."""

    name: str
    """How it is spelt, e.g. ``CLIENT_ID``; its option has the same name in small letters."""
    read: Callable[[Any], Any]
    """From the value in the settings to the option's value."""
    kind: str = "option"
    """The kind of the problems with it; see :class:`Problem`."""
    required: bool = False
    """True where a client cannot do without it."""
    imports: bool = False
    """True where the value may be an import path."""

    @property
    def option(self) -> str:
        """The keyword of ``TokenSource`` or ``M2MAuth``."""
        return self.name.lower()


def _as_it_is(value: Any) -> Any:
    return value


CLIENT_KEYS = (
    ClientKey(name="TOKEN_ENDPOINT", read=as_text, kind="endpoint", required=True),
    ClientKey(name="CLIENT_ID", read=as_text, required=True),
    ClientKey(name="CLIENT_AUTHENTICATION", read=as_text, imports=True),
    ClientKey(name="CLIENT_SECRET", read=as_text, kind="secret", imports=True),
    ClientKey(name="AUDIENCE", read=as_text),
    ClientKey(name="SCOPE", read=as_texts),
    ClientKey(name="RESOURCE", read=as_texts),
    ClientKey(name="ANSWERS", read=partial(record_of, AnswerRules), kind="record", imports=True),
    ClientKey(name="POLICY", read=partial(record_of, RenewalPolicy), kind="record"),
    ClientKey(name="BUDGET", read=partial(record_of, MintBudget), kind="record"),
    ClientKey(name="VERIFY", read=as_flag_or_else, imports=True),
    ClientKey(name="PROXIES", read=concealed),  # a URL may hold a password
    ClientKey(name="ALLOWED_ORIGINS", read=as_list),
    ClientKey(name="ALLOW_INSECURE_HTTP", read=as_flag),
    ClientKey(name="IS_REJECTION", read=_as_it_is, imports=True),
    ClientKey(name="HEADER", read=as_text),
    ClientKey(name="SCHEME", read=as_text),
    ClientKey(name="CACHE", read=as_text),
)
"""Every key of a client, in the order in which problems are listed."""
_OPTION_IN_WORDS = re.compile(
    r"\b(?:(?P<record>policy|budget|answers)\.(?P<field>\w+)"
    r"|(?P<only>allowed_origins(?= is ))"
    rf"|(?<![?&])(?P<option>{'|'.join(key.option for key in CLIENT_KEYS)})(?P<sign>=)(?P<value>\w*))"
)
_OF_FRONT_DOORS = ("is_rejection", "header", "scheme")
_NAMES = tuple(key.name for key in CLIENT_KEYS)
OPTION_NAMES = (
    *(key.option for key in CLIENT_KEYS),
    *(name.lower() for record in RECORDS.values() for name in fields_of(record)),
)
"""The keywords and fields that messages of the core may name."""
_GOOD: dict[str, Any] = {"token_endpoint": "https://localhost/", "client_id": "client", "client_secret": "secret"}
"""A source without a mistake: with one option replaced, an error is about that option."""
_PRIVATE_TRANSPORT = {"verify", "proxies"}
"""The options that have no place beside ``transport=``."""


class ClientSettings(Value):
    """One client without a mistake."""

    hidden_fields = frozenset({"options", "front_door_options"})

    alias: str
    """Its key in ``CLIENTS``."""
    setting: str
    """How messages spell it, e.g. ``M2M_AUTH["CLIENTS"]["billing"]``."""
    allowed_origins: list[str] | None
    """Where its token may go; None: to any https origin."""
    cache: str | None
    """The alias of its cache; None: this process's memory."""
    options: Mapping[str, Any]
    """The keyword arguments of its ``TokenSource``, without cache and encryption keys. Secrets are concealed."""
    front_door_options: Mapping[str, Any]
    """The keyword arguments of ``M2MAuth.from_source``, ``allowed_origins`` among them."""

    def resolved_options(self) -> dict[str, Any]:
        """The options of its source, with import paths followed.

        Raises:
            ConfigurationError: an import path leads nowhere.
        """
        return {name: _loaded(name, value) for name, value in self.options.items()}

    def resolved_front_door_options(self) -> dict[str, Any]:
        """The options of its front doors, with import paths followed.

        Raises:
            ConfigurationError: an import path leads nowhere.
        """
        return {name: _loaded(name, value) for name, value in self.front_door_options.items()}


def _loaded(option: str, value: Any) -> Any:
    if not isinstance(value, ImportPath):
        return value
    problem = ""
    try:
        return _followed(option, value)
    except ConfigurationError as error:
        problem = str(problem_of("option", value.setting, option, error, names=OPTION_NAMES))
    raise ConfigurationError(problem)


def _followed(option: str, path: ImportPath) -> Any:
    found = path.load()
    if option == "client_secret" and not callable(found):
        raise ConfigurationError(
            f"is the path of {type(found).__name__}, not of a callable that returns the secret. Fix: 'package.function'"
        )
    if option == "answers" and not isinstance(found, AnswerRules):
        raise ConfigurationError(f"is the path of {type(found).__name__}, not of an AnswerRules. Fix: AnswerRules(…)")
    if option == "is_rejection":
        predicate: Any = found
        RejectionCheck(predicate)
    if option in ("verify", "client_authentication"):
        _try_source({option: found, **_secret_for(option)})
    return found


def _answers(fields: Mapping[Any, Any], name: Any, adapt: Any) -> AnswerRules:
    """The rules of ANSWERS, with the function that the path in ADAPT names."""
    return record_of(AnswerRules, {**fields, name: adapt})


def read_client(
    alias: str, given: object, spelling: Spelling, *, eager: bool
) -> tuple[ClientSettings | None, list[Problem]]:
    """The client behind an entry of ``CLIENTS``, and what is wrong with it; None if one of the problems is an error.

    Args:
        alias: its key.
        given: its value.
        spelling: how messages spell a setting.
        eager: follow import paths now.
    """
    reader = _ClientReader(alias, spelling)
    client = reader.read(given, eager=eager)
    return client, reader.problems


class _ClientReader:
    """Reads one client, and lists every mistake in it instead of stopping at the first."""

    def __init__(self, alias: str, spelling: Spelling) -> None:
        self.problems: list[Problem] = []
        self._alias = alias
        self._refused_options: set[str] = set()
        self._over_http = False
        self._spelt = partial(spelling, "CLIENTS", alias)

    def read(self, given: object, *, eager: bool) -> ClientSettings | None:
        """The client, or None after a mistake."""
        entry = mapping(given)
        if entry is None:
            self._found("shape", self._spelt(), f"must be a dict, not {type(given).__name__}")
            return None
        self.problems += unknown_keys(entry, _NAMES, self._spelt, self._alias)
        options: dict[str, Any] = {}
        self._over_http = as_flag_or_else(entry.get("ALLOW_INSECURE_HTTP")) is True  # other keys are checked by it
        for key in CLIENT_KEYS:
            self._read_key(key, entry.get(key.name), options, eager=eager)
        if any(problem.is_error for problem in self.problems):
            return None
        cache = options.pop("cache", None if "CACHE" in entry else "default")
        origins = options.pop("allowed_origins", None)
        front_door = {name: options.pop(name) for name in _OF_FRONT_DOORS if name in options}
        if "allow_insecure_http" in options:
            front_door["allow_insecure_http"] = options["allow_insecure_http"]
        return ClientSettings(
            alias=self._alias,
            setting=self._spelt(),
            allowed_origins=origins,
            cache=cache,
            options={"alias": self._alias, **options},
            front_door_options={"allowed_origins": origins, **front_door},
        )

    def _read_key(self, key: ClientKey, given: Any, options: dict[str, Any], *, eager: bool) -> None:
        """Adds the key's option to ``options``, or a problem to the problems."""
        try:
            value = self._value(key, given, eager=eager)
            self._check(key, value, options)
        except ConfigurationError as error:
            self._refused_options.add(key.option)
            setting = self._spelt(key.name)
            found = problem_of(key.kind, setting, key.option, error, names=OPTION_NAMES, client=self._alias)
            self.problems.append(found)
        else:
            if value is not None:
                options[key.option] = value

    def _value(self, key: ClientKey, given: Any, *, eager: bool) -> Any:
        """The option's value; None where the key is not set. Raises ConfigurationError."""
        setting = self._spelt(key.name)
        if key.required and (given is None or given == ""):
            fix = "set it; an unset environment variable is the usual cause"
            self._found("missing", setting, "is blank" if given == "" else "is missing", fix)
        if given is None or (key.required and given == ""):
            return None
        fields = mapping(given)
        if key.option in RECORDS and fields is not None:
            names, record = {str(name).upper(): 0 for name in fields}, fields_of(RECORDS[key.option])
            self.problems += unknown_keys(names, record, partial(self._spelt, key.name), self._alias)
        path = self._path(key, given) if key.imports else None
        if path is not None:
            return _followed(key.option, path) if eager else path
        value = key.read(given)
        if key.option != "client_secret":
            return value
        if looks_like_a_path(value):
            message = "looks like an import path, but there is no such package; it is used as the secret itself"
            self._found("maybe_a_path", setting, message, "correct the path, or pass the callable", is_error=False)
        return concealed(value)

    def _path(self, key: ClientKey, given: Any) -> ImportPath | None:
        """The import path that the value is, or that its ADAPT is; the fields beside ADAPT are checked now."""
        fields = mapping(given)
        name = next((name for name in fields or () if str(name).upper() == "ADAPT"), None)
        setting = self._spelt(key.name)
        if fields is None or name is None:
            return import_path(given, setting)
        no_package(fields[name], "answers.adapt ")
        path = import_path(fields[name], setting, "answers.adapt", lambda found: _answers(fields, name, found))
        if path is not None:
            _answers(fields, name, dict)  # instead of the function, which is not imported yet
        return path

    def _check(self, key: ClientKey, value: Any, options: Mapping[str, Any]) -> None:
        """Lets the object that takes the option check it. Raises ConfigurationError."""
        if key.option == "client_secret":
            self._check_secret(value, options.get("client_authentication"))
        elif value is None or isinstance(value, ImportPath):
            return
        elif key.option == "allowed_origins":
            OriginPolicy(value, self._over_http)
        elif key.option == "is_rejection":
            no_package(value)
            RejectionCheck(value)
        elif key.option == "header":
            TokenHeader(value, "Bearer")
        elif key.option == "scheme":
            TokenHeader(AUTHORIZATION, value)
        elif key.option == "cache":
            if not isinstance(value, str):
                raise ConfigurationError(f"must be an alias or None, not {type(value).__name__}")
        else:
            over_http = {"allow_insecure_http": self._over_http}
            _try_source({**over_http, key.option: value, **_secret_for(key.option)})

    def _check_secret(self, secret: Any, authentication: Any) -> None:
        if isinstance(authentication, ImportPath) or "client_authentication" in self._refused_options:
            return  # whether a secret is needed is not known
        method = {} if authentication is None else {"client_authentication": authentication}
        _try_source({**method, "client_secret": _not_fetched if isinstance(secret, ImportPath) else secret})

    def _found(self, kind: str, setting: str, message: str, fix: str = "", *, is_error: bool = True) -> None:
        found = Problem(kind=kind, setting=setting, message=message, fix=fix, client=self._alias, is_error=is_error)
        self.problems.append(found)


def in_words_of_settings(spelt: Spelling, message: str) -> str:
    """The message of a call's error, with each option in it as the setting that it is.

    Only options that are written as such count (``verify=``, ``policy.max_wait``): a server's own words have others.
    """

    def named(found: re.Match[str]) -> str:
        if found["record"]:
            return spelt(found["record"].upper(), found["field"].upper())
        setting = spelt((found["option"] or found["only"]).upper())
        return f"{setting}={found['value']}" if found["value"] else setting

    return _OPTION_IN_WORDS.sub(named, message)


def unknown_keys(
    given: Mapping[Any, Any], known: tuple[str, ...], spelling: Spelling, client: str = ""
) -> Iterator[Problem]:
    """A problem for each key that does not exist, with the nearest one that does."""
    for key in given:
        if key not in known:
            message, fix = f"unknown key{nearest(key, known)}", f"use one of {', '.join(known)}"
            yield Problem(kind="unknown_key", setting=spelling(key), message=message, fix=fix, client=client)


def _secret_for(option: str) -> dict[str, Any]:
    """Whatever the method needs, the check of the secret reports it."""
    return {"client_secret": _not_fetched} if option == "client_authentication" else {}


def _try_source(options: dict[str, Any]) -> None:
    """Raises ConfigurationError for options that a source does not take."""
    options = {**_GOOD, **options}
    if not _PRIVATE_TRANSPORT.intersection(options):
        options["transport"] = _not_sent
    TokenSource(**options)


def _not_fetched() -> NoReturn:
    """Replaces a secret: a check does not need it."""
    raise NotImplementedError


def _not_sent(request: object) -> NoReturn:
    """Replaces a transport: the sources of a check send nothing."""
    raise NotImplementedError(request)
