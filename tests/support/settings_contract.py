"""What client settings mean, the same for every framework: each runs this suite with its own spelling of a setting."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar

import pytest

from m2m_auth import (
    AnswerRules,
    ClientSecretPost,
    ConfigurationError,
    InsecureTransport,
    MintBudget,
    MintBudgetExhausted,
    OriginNotAllowed,
    RenewalPolicy,
    TokenSource,
    TokenUnavailable,
)
from m2m_auth.caches.memory import MemoryTokenCache
from m2m_auth.source.registry import forget_everything
from m2m_auth.testing import FakeAuthorizationServer

GOOD = {"TOKEN_ENDPOINT": "https://tenant.example/token", "CLIENT_ID": "client", "CLIENT_SECRET": "s3cret"}
KEYS_OF_A_CLIENT = (
    "TOKEN_ENDPOINT, CLIENT_ID, CLIENT_AUTHENTICATION, CLIENT_SECRET, AUDIENCE, SCOPE, RESOURCE, ANSWERS, POLICY, "
    "BUDGET, VERIFY, PROXIES, ALLOWED_ORIGINS, ALLOW_INSECURE_HTTP, IS_REJECTION, HEADER, SCHEME, CACHE"
)
UNSET = "Fix: set it; an unset environment variable is the usual cause"


def client(**entries: Any) -> dict[str, Any]:
    """Settings with one client, changed by these entries."""
    return {"CLIENTS": {"billing": {**GOOD, **entries}}}


def cache(given: Any, **more: Any) -> dict[str, Any]:
    """Settings with one client and one cache."""
    return {"CLIENTS": {"billing": GOOD}, "CACHES": {"default": given, **more}}


def build_boom(**_: Any) -> None:
    """A BACKEND that cannot be built."""
    raise OSError("s3cret")


def adapted(answer: dict[str, Any]) -> dict[str, Any]:
    """A nested answer as RFC 6749's."""
    return {"access_token": answer["data"]["token"], "expires_in": answer["data"]["minutes"] * 60}


RULES = AnswerRules(token_field="data.token", lifetime_unit="min")
BILLING = 'CLIENTS["billing"]'
DEFAULT = 'CACHES["default"]'
MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "clients not a dict": ({"CLIENTS": ["billing"]}, "CLIENTS: must be a dict, not list"),
    "client not a dict": ({"CLIENTS": {"billing": "s3cret"}}, f"{BILLING}: must be a dict, not str"),
    "alias with control characters": (
        {"CLIENTS": {"bil\x1bling": GOOD, "billing": GOOD}},
        "CLIENTS: the alias 'bil\\x1bling' must be a short printable name, such as 'billing'",
    ),
    "alias not text": (
        {"CLIENTS": {7: GOOD, "billing": GOOD}},
        "CLIENTS: the alias 7 must be a short printable name, such as 'billing'",
    ),
    "misspelt setting": (
        {**client(), "CLIENT": {}},
        "CLIENT: unknown key (did you mean 'CLIENTS'?). Fix: use one of CLIENTS, CACHES, ENCRYPTION_KEYS, RECEIVING",
    ),
    "unknown key": (
        client(SCOPES="a"),
        f"{BILLING}[\"SCOPES\"]: unknown key (did you mean 'SCOPE'?). Fix: use one of {KEYS_OF_A_CLIENT}",
    ),
    "small letters": (client(scope="a"), f"{BILLING}[\"scope\"]: unknown key (did you mean 'SCOPE'?)"),
    "no endpoint": (client(TOKEN_ENDPOINT=None), f'{BILLING}["TOKEN_ENDPOINT"]: is missing. {UNSET}'),
    "blank client id": (client(CLIENT_ID=""), f'{BILLING}["CLIENT_ID"]: is blank. {UNSET}'),
    "client id of white space": (client(CLIENT_ID=" "), f'{BILLING}["CLIENT_ID"]: is blank. {UNSET}'),
    "plain http": (
        client(TOKEN_ENDPOINT="http://tenant.example/token"),
        f"{BILLING}[\"TOKEN_ENDPOINT\"]: 'http://tenant.example/token' is plain http",
    ),
    "no secret": (
        client(CLIENT_SECRET=None),
        f"{BILLING}[\"CLIENT_SECRET\"]: is missing, and CLIENT_AUTHENTICATION='client_secret_basic' needs it. "
        "Fix: pass CLIENT_SECRET, a string or a callable that returns it",
    ),
    "blank secret": (client(CLIENT_SECRET=" "), f'{BILLING}["CLIENT_SECRET"]: is blank. {UNSET}'),
    "secret with a line break": (
        client(CLIENT_SECRET="s3cret\n"),
        f'{BILLING}["CLIENT_SECRET"]: begins or ends with white space (a line break from a file?). '
        "Fix: CLIENT_SECRET.strip()",
    ),
    "secret of another type": (
        client(CLIENT_SECRET=["s3cret"]),
        f'{BILLING}["CLIENT_SECRET"]: must be a string or a callable that returns one, not list',
    ),
    "secret that JSON made a float": (
        client(CLIENT_SECRET=1e5),
        f'{BILLING}["CLIENT_SECRET"]: must be a string, not float. Fix: quote it',
    ),
    "secret that JSON made a truth value": (
        client(CLIENT_SECRET=True),
        f'{BILLING}["CLIENT_SECRET"]: must be a string, not bool. Fix: quote it',
    ),
    "path to nothing": (
        client(CLIENT_SECRET="settings_contract.nothing"),
        f'{BILLING}["CLIENT_SECRET"]: looks like an import path, and cannot be imported (AttributeError). Fix: ',
    ),
    "secret that is taken for a path": (
        client(CLIENT_SECRET="settings_contract.s3cret"),
        f'{BILLING}["CLIENT_SECRET"]: looks like an import path, and cannot be imported (AttributeError). Fix: ',
    ),
    "path to a text": (
        client(CLIENT_SECRET="settings_contract.UNSET"),
        f'{BILLING}["CLIENT_SECRET"]: is the path of str, not of a callable that returns the secret. Fix: ',
    ),
    "scope with a comma": (
        client(SCOPE="a,b"),
        f"{BILLING}[\"SCOPE\"]: 'a,b' has a comma. Fix: separate scopes by spaces, or pass a list",
    ),
    "relative resource": (client(RESOURCE="orders"), f"{BILLING}[\"RESOURCE\"]: 'orders' must be an absolute URI"),
    "blank audience": (client(AUDIENCE=""), f'{BILLING}["AUDIENCE"]: is blank. {UNSET}'),
    "unknown method": (
        client(CLIENT_AUTHENTICATION="client_secret_pots"),
        f"{BILLING}[\"CLIENT_AUTHENTICATION\"]: 'client_secret_pots' is not known (did you mean 'client_secret_post'?)",
    ),
    "method without its key": (
        client(CLIENT_AUTHENTICATION="private_key_jwt"),
        f"{BILLING}[\"CLIENT_AUTHENTICATION\"]: 'private_key_jwt' needs arguments. "
        "Fix: CLIENT_AUTHENTICATION=PrivateKeyJWT(key)",
    ),
    "no CA bundle": (
        client(VERIFY="/no/such/ca.pem"),
        f"{BILLING}[\"VERIFY\"]: '/no/such/ca.pem': there is no such file or folder. Fix: the path of a CA bundle",
    ),
    "no proxy": (
        client(PROXIES={"https": "user:s3cret@proxy:3128"}),
        f'{BILLING}["PROXIES"]["https"]: is no URL of a proxy (http, https, socks',
    ),
    "no proxy for all": (client(PROXIES="s3cret@proxy:3128"), f'{BILLING}["PROXIES"]: is no URL of a proxy (http, '),
    "proxy for no scheme": (
        client(PROXIES={"HTTPS": "http://s3cret@proxy"}),
        f'{BILLING}["PROXIES"]["HTTPS"]: is no scheme of a target. Fix: ',
    ),
    "blank proxy": (client(PROXIES=""), f'{BILLING}["PROXIES"]: is blank. Fix: leave it out'),
    "blank CA bundle": (client(VERIFY=""), f'{BILLING}["VERIFY"]: is blank. Fix: leave it out'),
    "CA bundle by a path to something else": (
        client(VERIFY="settings_contract.adapted"),
        f'{BILLING}["VERIFY"]: must be True, False, the path of a CA bundle or an ssl.SSLContext, not function. Fix: ',
    ),
    "method by a path to something else": (
        client(CLIENT_AUTHENTICATION="settings_contract.UNSET"),
        f'{BILLING}["CLIENT_AUTHENTICATION"]: ',
    ),
    "client certificate for a CA bundle": (
        client(VERIFY=("cert.pem", "key.pem")),
        f'{BILLING}["VERIFY"]: must be True, False, the path of a CA bundle or an ssl.SSLContext, not tuple. Fix: ',
    ),
    "origin with a path": (
        client(ALLOWED_ORIGINS=["https://api.example/v1"]),
        f"{BILLING}[\"ALLOWED_ORIGINS\"]: 'https://api.example/v1' has more than an origin. Fix: 'https://api.example'",
    ),
    "origin over plain http": (
        client(ALLOWED_ORIGINS=["http://orders:8000"]),
        f"{BILLING}[\"ALLOWED_ORIGINS\"]: 'http://orders:8000' matches no call: every machine on the way can "
        "read plain http. Fix: use https, or pass ALLOW_INSECURE_HTTP=True if the network itself is trusted",
    ),
    "token endpoint over plain http": (
        client(TOKEN_ENDPOINT="http://keycloak:8080/token"),
        f"{BILLING}[\"TOKEN_ENDPOINT\"]: 'http://keycloak:8080/token' is plain http, and the client secret goes there. "
        "Fix: use https (RFC 6749 §3.2), or pass ALLOW_INSECURE_HTTP=True if the network itself is trusted",
    ),
    "neither yes nor no": (
        client(ALLOW_INSECURE_HTTP="maybe"),
        f"{BILLING}[\"ALLOW_INSECURE_HTTP\"]: must be True or False, not 'maybe'. Fix: True or False, or leave it out",
    ),
    "no header": (
        client(HEADER="X Api"),
        f"{BILLING}[\"HEADER\"]: 'X Api' has characters that an HTTP header cannot have there (RFC 9110). Fix: ",
    ),
    "no scheme": (
        client(SCHEME="Bearer "),
        f"{BILLING}[\"SCHEME\"]: 'Bearer ' begins or ends with white space. Fix: 'Bearer'",
    ),
    "rule of a missing package": (
        client(IS_REJECTION="no_such.rule"),
        f"{BILLING}[\"IS_REJECTION\"]: 'no_such.rule' names a package that does not exist: no_such. Fix: ",
    ),
    "no rule": (client(IS_REJECTION=401), f'{BILLING}["IS_REJECTION"]: int is not a function. Fix: a function of ('),
    "no origin": (client(ALLOWED_ORIGINS=[]), f'{BILLING}["ALLOWED_ORIGINS"]: is empty, so no call could carry'),
    "short lease": (
        client(POLICY={"LEASE": 5}),
        f'{BILLING}["POLICY"]["LEASE"]: 5 s must be longer than MINT_DEADLINE=10 s, or another process mints while '
        "this one still does. Fix: LEASE=MINT_DEADLINE+5",
    ),
    "unknown field of the policy": (
        client(POLICY={"leese": 5}),
        f'{BILLING}["POLICY"]["LEESE"]: unknown key (did you mean \'LEASE\'?). Fix: use one of WINDOW, ',
    ),
    "policy not a dict": (client(POLICY=5), f'{BILLING}["POLICY"]: must be a dict, not int. Fix: keys WINDOW, '),
    "answers not a dict": (
        client(ANSWERS=5),
        f'{BILLING}["ANSWERS"]: must be a dict, not int. Fix: keys TOKEN_',
    ),
    "answers with an unknown field": (
        client(ANSWERS={"token_feild": "token"}),
        f'{BILLING}["ANSWERS"]["TOKEN_FEILD"]: unknown key (did you mean \'TOKEN_FIELD\'?). Fix: use one of ',
    ),
    "answers with an unknown unit": (
        client(ANSWERS={"LIFETIME_UNIT": "h"}),
        f"{BILLING}[\"ANSWERS\"][\"LIFETIME_UNIT\"]: 'h' must be 's', 'ms' or 'min'. Fix: one of these, or ADAPT",
    ),
    "answers with one type as text": (
        client(ANSWERS={"TOKEN_TYPES": "jwt"}),
        f"{BILLING}[\"ANSWERS\"][\"TOKEN_TYPES\"]: 'jwt' must be a list of texts. Fix: ('jwt',)",
    ),
    "answers by a path to something else": (
        client(ANSWERS="settings_contract.UNSET"),
        f'{BILLING}["ANSWERS"]: is the path of str, not of an AnswerRules. Fix: AnswerRules(…)',
    ),
    "answers by a path to nothing": (
        client(ANSWERS="settings_contract.nothing"),
        f'{BILLING}["ANSWERS"]: looks like an import path, and cannot be imported (AttributeError). Fix: ',
    ),
    "answers by a path to a missing package": (
        client(ANSWERS="no_such.rules"),
        f"{BILLING}[\"ANSWERS\"]: 'no_such.rules' names a package that does not exist: no_such. Fix: ",
    ),
    "adapt by a path to a missing package": (
        client(ANSWERS={"ADAPT": "no_such.flat"}),
        f'{BILLING}["ANSWERS"]["ADAPT"]: \'no_such.flat\' names a package that does not exist: no_such. Fix: ',
    ),
    "adapt by a path to nothing": (
        client(ANSWERS={"ADAPT": "settings_contract.nothing"}),
        f'{BILLING}["ANSWERS"]["ADAPT"]: looks like an import path, and cannot be imported (AttributeError). Fix: ',
    ),
    "adapt by a path to something else": (
        client(ANSWERS={"ADAPT": "settings_contract.UNSET"}),
        f'{BILLING}["ANSWERS"]["ADAPT"]: must be a function, not str. Fix: ',
    ),
    "adapt by a path, beside a mistake": (
        client(ANSWERS={"ADAPT": "settings_contract.adapted", "TOKEN_FIELD": ""}),
        f'{BILLING}["ANSWERS"]["TOKEN_FIELD"]: \'\' must be the name of a field',
    ),
    "budget of nothing": (
        client(BUDGET={"per_month": 0}),
        f'{BILLING}["BUDGET"]["PER_MONTH"]: 0 must be a whole number of at least 1, or None',
    ),
    "unknown field of the budget": (
        client(BUDGET={"PER_YEAR": 9}),
        f'{BILLING}["BUDGET"]["PER_YEAR"]: unknown key (did you mean \'PER_HOUR\'?). Fix: use one of PER_MONTH, ',
    ),
    "unknown cache": (
        client(CACHE="defualt"),
        f"{BILLING}[\"CACHE\"]: there is no cache 'defualt' (did you mean 'default'?). "
        "Fix: use one of CACHES ('default'), or use None for this process's memory",
    ),
    "cache of another type": (client(CACHE=["default"]), f'{BILLING}["CACHE"]: must be an alias or None, not list'),
    "caches without the default": (
        {**client(), "CACHES": {}},
        f"{BILLING}[\"CACHE\"]: there is no cache 'default'. Fix: add it to CACHES, or use None for",
    ),
    "caches not a dict": ({**client(CACHE=None), "CACHES": "disk:"}, "CACHES: must be a dict, not str"),
    "unknown scheme": (
        cache("reddis://:s3cret@host"),
        f"{DEFAULT}: 'reddis://***@host': no cache has this URL scheme (did you mean 'redis'?). Known: memory:, ",
    ),
    "blank URL": (cache(" "), f"{DEFAULT}: is blank. Fix: a URL such as 'redis://host', "),
    "no cache": (cache(None), f"{DEFAULT}: is NoneType, not a cache. Fix: a URL such as 'redis://host', "),
    "number for a cache": (cache(7), f"{DEFAULT}: is int, not a cache. Fix: "),
    "unknown form": (cache({"URL": "disk:"}), f'{DEFAULT}["URL"]: unknown key. Fix: use one of BACKEND, '),
    "misspelt form": (
        cache({"BACKEN": "x.Y"}),
        f"{DEFAULT}[\"BACKEN\"]: unknown key (did you mean 'BACKEND'?). Fix: use one of BACKEND, ",
    ),
    "nothing named": (cache({}), f"{DEFAULT}: names no cache; it must name one cache. Fix: "),
    "options not a dict": (
        cache({"BACKEND": "x.Y", "OPTIONS": 7}),
        f"{DEFAULT}: has OPTIONS that are int, not a dict. Fix: ",
    ),
    "not importable": (
        cache({"BACKEND": "no_such.module.Cache"}),
        f"{DEFAULT}: 'no_such.module.Cache' cannot be imported (ModuleNotFoundError: no_such). Fix: ",
    ),
    "no such class": (
        cache({"BACKEND": "m2m_auth.caches.disk.NoCache"}),
        f"{DEFAULT}: 'm2m_auth.caches.disk.NoCache' cannot be imported (AttributeError). Fix: ",
    ),
    "not callable": (
        cache({"BACKEND": "m2m_auth.__version__"}),
        f"{DEFAULT}: BACKEND 'm2m_auth.__version__' is neither a class nor a callable",
    ),
    "not buildable": (
        cache({"BACKEND": "settings_contract.build_boom", "OPTIONS": {"password": "s3cret"}}),
        f"{DEFAULT}: BACKEND 'settings_contract.build_boom' raised OSError while it was built with the OPTIONS ",
    ),
    "wrong options": (
        cache({"BACKEND": "m2m_auth.caches.memory.MemoryTokenCache", "OPTIONS": {"entries": 1}}),
        f"{DEFAULT}: BACKEND 'm2m_auth.caches.memory.MemoryTokenCache' raised TypeError while it was built",
    ),
    "no token cache": (
        cache({"BACKEND": "builtins.list"}),
        f"{DEFAULT}: list is neither a URL such as 'disk:', nor a known client",
    ),
    "short encryption key": (
        {**client(), "ENCRYPTION_KEYS": ["short"]},
        "ENCRYPTION_KEYS: has a key that is shorter than 16 bytes. Fix: ",
    ),
    "no encryption key": ({**client(), "ENCRYPTION_KEYS": []}, "ENCRYPTION_KEYS: is empty. Fix: "),
}
"""By name: the settings, and how their error begins. ``CLIENTS`` stands for a framework's spelling of it."""


def fetch() -> str:
    """A project's function that fetches the secret."""
    return "s3cret"


post = ClientSecretPost()
"""A project's object, for CLIENT_AUTHENTICATION by import path."""


class SettingsContract:
    """The suite. A subclass says how settings are used, and what is spelt how."""

    def billing(self, settings: dict[str, Any]) -> AbstractContextManager[TokenSource]:
        """The source of the client ``billing`` with these settings. Entering raises what is wrong with them."""
        raise NotImplementedError

    spelling: ClassVar[dict[str, str]]
    """How ``CLIENTS``, ``CLIENT``, ``CACHES`` and ``ENCRYPTION_KEYS`` are spelt at the start of a message."""
    error: type[Exception] = ConfigurationError
    """What is raised."""

    @pytest.fixture(autouse=True)
    def nothing_is_held(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The default disk cache is this test's own, and no token is held from another test."""
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        forget_everything()

    @pytest.fixture
    def server(self) -> Iterator[FakeAuthorizationServer]:
        """An authorization server that knows the client."""
        with FakeAuthorizationServer(clients={"client": "s3cret", "12345": "67890"}) as running:
            yield running

    def spelt(self, text: str) -> str:
        """A message's beginning in this framework's spelling."""
        name = next(name for name in ("CLIENTS", "CLIENT", "CACHES", "ENCRYPTION_KEYS") if text.startswith(name))
        text = self.spelling[name] + text.removeprefix(name)
        return text.replace("one of CACHES (", f"one of {self.spelling['CACHES']} (").replace(
            "add it to CACHES,", f"add it to {self.spelling['CACHES']},"
        )

    @pytest.mark.parametrize("name", MISTAKES)
    def test_a_mistake_names_its_setting(self, name: str) -> None:
        """The error begins with the setting as its user spells it, says what is wrong and the fix, and no secret."""
        settings, text = MISTAKES[name]
        with pytest.raises(self.error) as raised, self.billing(settings):
            pass
        assert str(raised.value).startswith(self.spelt(text)), str(raised.value)
        assert "\n" not in str(raised.value)
        assert "s3cret" not in str(raised.value)
        assert (
            raised.value.__context__ is None
            or raised.value.__suppress_context__
            or "s3cret" not in repr(raised.value.__context__)
        )

    def test_every_mistake_is_named_at_once(self) -> None:
        """Two mistakes of one client are two lines of one error."""
        with pytest.raises(self.error) as raised, self.billing(client(SCOPE="a,b", POLICY={"LEASE": 1})):
            pass
        first, second = str(raised.value).splitlines()
        assert first.startswith(self.spelt(f'{BILLING}["SCOPE"]: '))
        assert second.startswith(self.spelt(f'{BILLING}["POLICY"]["LEASE"]: '))

    def test_an_error_of_a_call_names_its_setting(self) -> None:
        """Where the token may not go; the fix is in the settings, not in a keyword."""
        requests = pytest.importorskip("requests")
        from m2m_auth.requests import M2MAuth

        for origins, error, words in (
            (["https://api.example"], OriginNotAllowed, '["ALLOWED_ORIGINS"] is https://api.example. Fix: '),
            (None, InsecureTransport, '["ALLOW_INSECURE_HTTP"]=True if '),
        ):
            with self.billing(client()) as source:
                auth = M2MAuth.from_source(source, allowed_origins=origins)
                with pytest.raises(error) as raised:
                    requests.Request("GET", "http://keycloak.example/", auth=auth).prepare()
            assert self.spelt(f"{BILLING}{words}") in str(raised.value)

    @pytest.mark.loopback
    def test_an_error_of_the_token_request_names_its_setting(self) -> None:
        """The same where there is no token."""
        settings = client(PROXIES="http://127.0.0.1:1", CACHE=None)
        with self.billing(settings) as source, pytest.raises(TokenUnavailable) as raised:
            source.token()
        assert self.spelt(f'{BILLING}["PROXIES"], or the variables') in str(raised.value)
        assert "proxies=" not in str(raised.value)

    def test_every_key_reaches_the_token_request(self, server: FakeAuthorizationServer) -> None:
        """Audience, scopes, resource and method are sent; policy and budget are dicts, in either case."""
        entry = {
            "TOKEN_ENDPOINT": server.token_endpoint,
            "AUDIENCE": "https://api.example",
            "SCOPE": ["orders:read", "orders:write"],
            "RESOURCE": "https://api.example/orders",
            "CLIENT_AUTHENTICATION": "client_secret_post",
            "POLICY": {"MAX_WAIT": 5},
            "BUDGET": {"per_month": 1, "RESERVE": 0},
            "VERIFY": "true",
            "PROXIES": {"https": "http://user:s3cret@proxy.example:3128"},
            "ALLOWED_ORIGINS": ["https://api.example"],
            "CACHE": None,
        }
        with self.billing(client(**entry)) as source:
            assert source.token().value
            with pytest.raises(MintBudgetExhausted):
                source.renew()
        (request,) = server.requests
        form = dict(request.parameters)
        assert (form["audience"], form["resource"]) == ("https://api.example", "https://api.example/orders")
        assert (form["scope"], form["client_secret"]) == ("orders:read orders:write", "s3cret")

    def test_values_of_the_environment(self, server: FakeAuthorizationServer, tmp_path: Path) -> None:
        """Numbers that JSON made of digits are text again; one string stands for a list of keys or of origins."""
        numbers = {
            "CLIENT_ID": 12345,
            "CLIENT_SECRET": 67890,
            "ALLOWED_ORIGINS": "https://a.example, https://b.example",
        }
        settings = client(TOKEN_ENDPOINT=server.token_endpoint, **numbers)
        more = {"ENCRYPTION_KEYS": "0123456789abcdef", "CACHES": {"default": f"disk:{tmp_path}/tokens"}}
        with self.billing({**settings, **more}) as source:
            assert source.token().value
            source.close()
        assert server.requests[0].client_id == "12345"
        assert (tmp_path / "tokens" / "cache.db").exists()

    @pytest.mark.parametrize(
        "answers",
        [
            {"ADAPT": "settings_contract.adapted"},
            {"adapt": "settings_contract:adapted"},
            {"ADAPT": lambda answer: adapted(answer)},
            {"TOKEN_FIELD": "data.token", "LIFETIME_UNIT": "min", "TOKEN_TYPES": ["bearer"], "NEVER_EXPIRES": -1},
            AnswerRules(token_field="data.token", lifetime_unit="min"),
            "settings_contract.RULES",
        ],
    )
    def test_answers(self, server: FakeAuthorizationServer, answers: Any) -> None:
        """A dict of the fields of AnswerRules, whose ADAPT may be an import path; the object, or its path."""
        server.extra_response.update(access_token=None, data={"token": "t0k3n", "minutes": 5}, expires_in=5)
        with self.billing(client(TOKEN_ENDPOINT=server.token_endpoint, CACHE=None, ANSWERS=answers)) as source:
            token = source.token()
        assert (token.value, token.expires_at - token.issued_at) == ("t0k3n", 300.0)

    @pytest.mark.parametrize("dot", [".", ":"])
    def test_import_paths(self, server: FakeAuthorizationServer, dot: str) -> None:
        """The secret's callable and the method by their paths, with a dot or a colon before the name."""
        paths = {
            "CLIENT_SECRET": f"settings_contract{dot}fetch",
            "CLIENT_AUTHENTICATION": f"settings_contract{dot}post",
        }
        with self.billing(client(TOKEN_ENDPOINT=server.token_endpoint, CACHE=None, **paths)) as source:
            assert source.token().value
        assert dict(server.requests[0].parameters)["client_secret"] == "s3cret"

    def test_a_secret_with_dots_is_a_secret(self, server: FakeAuthorizationServer) -> None:
        """A text is an import path only where its first package exists."""
        server.clients["client"] = "no_such_package.abc:def"
        entry = {"TOKEN_ENDPOINT": server.token_endpoint, "CLIENT_SECRET": "no_such_package.abc:def", "CACHE": None}
        with self.billing(client(**entry)) as source:
            assert source.token().value

    def test_objects_instead_of_dicts(self, server: FakeAuthorizationServer) -> None:
        """A policy, a budget, a method, a callable and a cache as the objects themselves."""
        objects = {
            "POLICY": RenewalPolicy(max_wait=5),
            "BUDGET": MintBudget(per_hour=1, reserve=0),
            "CLIENT_AUTHENTICATION": ClientSecretPost(),
            "CLIENT_SECRET": lambda: "s3cret",
        }
        kept = MemoryTokenCache()
        settings = client(TOKEN_ENDPOINT=server.token_endpoint, **objects)
        for form in (kept, {"BACKEND": MemoryTokenCache}):
            forget_everything()
            with self.billing({**settings, "CACHES": {"default": form}}) as source:
                assert source.token().value
                with pytest.raises(MintBudgetExhausted):
                    source.renew()
        assert server.mints == 2
