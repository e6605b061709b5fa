"""Access to the operator's page and the metrics: with the operator's token and with nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from operator_support import TOKEN, an_operator, asked, bearer

from m2m_auth.caches.memory import MemoryTokenCache
from m2m_auth.proxy.operator_access import LOGIN, WRONG_PER_MINUTE, Operator
from m2m_auth.serving import Answer
from m2m_auth.testing import FakeClock

PATHS = ["/operator", "/metrics"]


@pytest.fixture
def operator(clock: FakeClock) -> Operator:
    """The operator's service."""
    return an_operator(clock)


def header(answer: Answer, name: str) -> str:
    """A header's value; "" if the answer has none."""
    (value,) = [value for given, value in answer.headers if given == name] or [""]
    return value


def cookie_of(answer: Answer) -> dict[str, str]:
    """The cookie that a browser sends after this answer."""
    return {"Cookie": header(answer, "Set-Cookie").partition(";")[0]}


def log_in(operator: Operator, token: str = TOKEN, **given: Any) -> Answer:
    """Send the login form."""
    return operator.answer(asked("POST", form={"token": token}, **given))


@pytest.mark.parametrize("token", [None, ""])
@pytest.mark.parametrize("path", PATHS)
def test_nothing_without_a_token(clock: FakeClock, token: str | None, path: str) -> None:
    """Without an operator's token both paths are a 404, as any other path, whatever a request carries."""
    operator = an_operator(clock, token)
    elsewhere = operator.answer(asked(path="/elsewhere"))
    assert elsewhere.status == 404
    for request in (
        asked(path=path),
        asked(path=path, headers=bearer("")),
        asked("POST", path, form={"token": ""}),
        asked("DELETE", path),
    ):
        assert operator.answer(request) == elsewhere


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "authorization",
    [
        "Bearer wrong",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        "Bearer ",
        "Bearer",
        f"Bearer {TOKEN}, Bearer {TOKEN}",
    ],
)
def test_a_wrong_bearer_token(operator: Operator, path: str, authorization: str) -> None:
    """A wrong token gets a 401 with an ``invalid_token`` challenge and no vendor's name."""
    answer = operator.answer(asked(path=path, headers={"Authorization": authorization}))
    assert answer.status == 401
    assert header(answer, "WWW-Authenticate") == 'Bearer realm="operator", error="invalid_token"'
    assert b"acme" not in answer.body


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("authorization", [f"Basic {TOKEN}", TOKEN, "Bearer\x00", ""])
def test_another_scheme(operator: Operator, path: str, authorization: str) -> None:
    """Another scheme gets a 401 with the challenge. It is no attempt, since no token was compared."""
    for _ in range(WRONG_PER_MINUTE + 1):
        answer = operator.answer(asked(path=path, headers={"Authorization": authorization}))
        assert (answer.status, header(answer, "WWW-Authenticate")) == (401, 'Bearer realm="operator"')
        assert b"acme" not in answer.body


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_right_bearer_token(operator: Operator, path: str, scheme: str) -> None:
    """The right token shows everything, however the scheme is spelt, and sets no cookie."""
    answer = operator.answer(asked(path=path, headers={"Authorization": f"{scheme} {TOKEN}"}))
    assert answer.status == 200
    assert b"acme-logistics" in answer.body
    assert header(answer, "Set-Cookie") == ""


def test_logging_in(operator: Operator) -> None:
    """Without a cookie there is a form; the token redirects to the page; with its cookie the page is shown."""
    form = operator.answer(asked())
    assert form.status == 401
    assert b'<input id="token" name="token" type="password"' in form.body
    assert b"acme" not in form.body
    answer = log_in(operator)
    assert (answer.status, header(answer, "Location"), answer.body) == (303, "./operator", b"")
    page = operator.answer(asked(headers=cookie_of(answer)))
    assert page.status == 200
    assert b"acme-logistics" in page.body


def test_the_cookie(operator: Operator, clock: FakeClock) -> None:
    """Scripts and other sites cannot use the cookie; over TLS it is Secure; it holds no part of the token."""
    cookie = header(log_in(operator), "Set-Cookie")
    ends = int(clock.wall()) + LOGIN
    assert re.fullmatch(
        rf"m2m_auth_operator={ends}\.[0-9a-f]{{64}}; Max-Age={LOGIN}; HttpOnly; SameSite=Strict", cookie
    )
    assert TOKEN not in cookie
    assert header(log_in(operator, scheme="https"), "Set-Cookie").endswith("; Secure")


@pytest.mark.parametrize(
    ("proxies", "forwarded", "secure"), [(0, "https", False), (1, "http, https", True), (1, "https, http", False)]
)
def test_secure_behind_a_proxy(clock: FakeClock, proxies: int, forwarded: str, secure: bool) -> None:
    """Only a trusted proxy says that the request came over TLS, and only in the last value of the header."""
    answer = log_in(an_operator(clock, trusted_proxies=proxies), headers={"X-Forwarded-Proto": forwarded})
    assert header(answer, "Set-Cookie").endswith("; Secure") is secure


def test_a_login_ends(operator: Operator, clock: FakeClock) -> None:
    """After an hour the cookie is refused, and the form is shown."""
    cookie = cookie_of(log_in(operator))
    clock.advance(LOGIN - 1)
    assert operator.answer(asked(headers=cookie)).status == 200
    clock.advance(1)
    assert operator.answer(asked(headers=cookie)).status == 401


def test_a_login_is_good_for_every_worker_and_ends_with_the_token(operator: Operator, clock: FakeClock) -> None:
    """A process with the same configuration accepts the cookie; one with another token or pepper refuses it."""
    cookie = cookie_of(log_in(operator))
    assert an_operator(clock).answer(asked(headers=cookie)).status == 200
    assert an_operator(clock, TOKEN + "2").answer(asked(headers=cookie)).status == 401
    assert an_operator(clock, pepper=b"another pepper, also long enough").answer(asked(headers=cookie)).status == 401


FORGERIES: list[Callable[[str, str], str]] = [
    lambda ends, signature: f"{int(ends) + 1}.{signature}",
    lambda ends, signature: f"{ends}.{signature[:-1]}",
    lambda ends, signature: f"{ends}.{'0' * 64}",
    lambda ends, signature: f"{ends}.",
    lambda ends, signature: f"{ends}",
    lambda ends, signature: f".{signature}",
    lambda ends, signature: f"{ends}.{signature}.{signature}",
    lambda ends, signature: f"{ends}.\u00e9",
    lambda ends, signature: "",
]


@pytest.mark.parametrize("forge", FORGERIES)
def test_a_forged_cookie(operator: Operator, forge: Callable[[str, str], str]) -> None:
    """A cookie with a later end, part of a signature or none is refused; a good one beside it is accepted."""
    name, _, value = cookie_of(log_in(operator))["Cookie"].partition("=")
    forged = f"{name}={forge(*value.split('.'))}"
    assert operator.answer(asked(headers={"Cookie": forged})).status == 401
    assert operator.answer(asked(headers={"Cookie": f"{forged}; {name}={value}"})).status == 200


def test_the_cookie_among_others(operator: Operator) -> None:
    """The cookie is found among others in one header, and in joined headers of HTTP/2 (RFC 9113 §8.2.3)."""
    (cookie,) = cookie_of(log_in(operator)).values()
    for together in (f"a=b; {cookie}; theme=dark", f"a=b, {cookie}, theme=dark"):
        assert operator.answer(asked(headers={"Cookie": together})).status == 200


def test_the_metrics_take_no_cookie(operator: Operator) -> None:
    """A browser's cookie does not open the metrics, so no web page can make a browser read them."""
    assert operator.answer(asked(path="/metrics", headers=cookie_of(log_in(operator)))).status == 401


def test_logging_out(operator: Operator) -> None:
    """Logging out deletes the cookie and redirects to the form."""
    form = asked("POST", form={"operation": "leave"}, headers=cookie_of(log_in(operator)))
    answer = operator.answer(form)
    assert answer.status == 303
    assert header(answer, "Set-Cookie") == "m2m_auth_operator=; Max-Age=0; HttpOnly; SameSite=Strict"


@pytest.mark.parametrize("form", [{"token": "wrong"}, {"token": ""}, {}, {"token": "\ud7ff\u00e9"}, {"other": TOKEN}])
def test_a_wrong_token_in_the_form(operator: Operator, form: dict[str, str]) -> None:
    """A wrong token gets the form again with the reason, and no cookie."""
    answer = operator.answer(asked("POST", form=form))
    assert answer.status == 401
    assert b"That is not the operator&#x27;s token." in answer.body
    assert header(answer, "Set-Cookie") == ""


@pytest.mark.parametrize("body", [b"\xff\xfe=%ff&token", b"token=%00", b"&&&==", b"{}"])
def test_a_body_that_is_no_form(operator: Operator, body: bytes) -> None:
    """A malformed body is a wrong token and not a server error."""
    assert operator.answer(asked("POST", body=body)).status == 401


@pytest.mark.parametrize(
    ("site", "status"), [("cross-site", 403), ("same-site", 403), ("same-origin", 303), ("none", 303)]
)
def test_a_form_of_another_site(operator: Operator, site: str, status: int) -> None:
    """A form that the browser marks as sent by another site is refused, even with the right token."""
    assert log_in(operator, headers={"Sec-Fetch-Site": site}).status == status


def test_wrong_tokens_are_limited_per_address(operator: Operator, clock: FakeClock) -> None:
    """After ten wrong tokens an address is refused for the minute, right token or not; other addresses are not."""
    cookie = cookie_of(log_in(operator))
    for _ in range(WRONG_PER_MINUTE // 2):
        assert log_in(operator, "wrong").status == 401
        assert operator.answer(asked(path="/metrics", headers=bearer("wrong"))).status == 401
    for answer in (
        log_in(operator),
        operator.answer(asked(headers=bearer())),
        operator.answer(asked(path="/metrics", headers=bearer())),
    ):
        assert answer.status == 429
        assert 0 < int(header(answer, "Retry-After")) <= 60
        assert b"acme" not in answer.body
    assert log_in(operator, address="198.51.100.8").status == 303
    assert operator.answer(asked(headers=cookie)).status == 200
    clock.advance(60)
    assert log_in(operator).status == 303


def test_wrong_tokens_are_counted_over_all_workers(clock: FakeClock) -> None:
    """Two workers with one shared cache allow ten wrong tokens together."""
    cache = MemoryTokenCache()
    workers = [an_operator(clock, cache=cache) for _ in range(2)]
    for number in range(WRONG_PER_MINUTE):
        assert log_in(workers[number % 2], "wrong").status == 401
    assert [log_in(worker).status for worker in workers] == [429, 429]


def test_the_address_is_counted_from_the_right(clock: FakeClock) -> None:
    """Behind one trusted proxy the address is the one that proxy added; values before it do not count."""
    operator = an_operator(clock, trusted_proxies=1)
    for number in range(WRONG_PER_MINUTE):
        headers = {"X-Forwarded-For": f"203.0.113.{number}, 198.51.100.66"}
        assert log_in(operator, "wrong", headers=headers).status == 401
    assert log_in(operator, headers={"X-Forwarded-For": "203.0.113.99, 198.51.100.66"}).status == 429
    assert log_in(operator, headers={"X-Forwarded-For": "198.51.100.66, 203.0.113.99"}).status == 303


def test_an_ipv6_network_is_one_address(clock: FakeClock) -> None:
    """All addresses of an IPv6 /64 network count as one; the next network is another."""
    operator = an_operator(clock)
    for number in range(WRONG_PER_MINUTE):
        assert log_in(operator, "wrong", address=f"2001:db8::{number:x}:1").status == 401
    assert log_in(operator, address="2001:db8::ffff").status == 429
    assert log_in(operator, address="2001:db8:0:1::1").status == 303


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"headers": bearer()},
        {"headers": bearer("wrong")},
        {"path": "/metrics", "headers": bearer()},
        {"path": "/x"},
    ],
)
def test_no_answer_is_stored(operator: Operator, given: dict[str, Any]) -> None:
    """Page, metrics and errors carry the headers against caching, sniffing and referrers."""
    answer = operator.answer(asked(**given))
    assert header(answer, "Cache-Control") == "no-store"
    assert header(answer, "X-Content-Type-Options") == "nosniff"
    assert header(answer, "Referrer-Policy") == "no-referrer"


def test_the_policy(operator: Operator) -> None:
    """The policy allows the answer's own style and forms to the same site; each answer has a new nonce."""
    first, second = (operator.answer(asked(headers=bearer())) for _ in range(2))
    policy = header(first, "Content-Security-Policy")
    (nonce,) = re.findall(r"style-src 'nonce-([\w-]{20,})'", policy)
    assert policy == (
        f"default-src 'none'; style-src 'nonce-{nonce}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    assert first.body.count(b"<style") == first.body.count(b'<style nonce="' + nonce.encode()) == 1
    assert nonce not in header(second, "Content-Security-Policy")


@pytest.mark.parametrize(("path", "allow"), [("/operator", "GET, HEAD, POST"), ("/metrics", "GET, HEAD")])
@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "PATCH"])
def test_other_methods(operator: Operator, path: str, allow: str, method: str) -> None:
    """Another method is a 405 with the allowed methods (RFC 9110 §15.5.6)."""
    answer = operator.answer(asked(method, path, headers=bearer()))
    assert (answer.status, header(answer, "Allow")) == (405, allow)


def test_configured_paths(clock: FakeClock) -> None:
    """Both paths are configurable; the default paths are then a 404."""
    operator = an_operator(clock, path="/internal/proxy/", metrics_path="/internal/metrics")
    assert [operator.answer(asked(path=path)).status for path in PATHS] == [404, 404]
    assert operator.answer(asked(path="/internal/proxy/", headers=bearer())).status == 200
    assert operator.answer(asked(path="/internal/metrics", headers=bearer())).status == 200
    answer = operator.answer(asked("POST", "/internal/proxy/", form={"token": TOKEN}))
    assert header(answer, "Location") == "./"
    answer = an_operator(clock, path="/an:odd").answer(asked("POST", "/an:odd", form={"token": TOKEN}))
    assert header(answer, "Location") == "./an:odd", "without ./ it would be another scheme"


def test_silence(operator: Operator) -> None:
    """No repr, page or header shows the token."""
    assert TOKEN not in repr(operator) + repr(operator.__dict__.keys())
    for request in (
        asked(headers=bearer()),
        asked(path="/metrics", headers=bearer()),
        asked("POST", form={"token": TOKEN}),
    ):
        answer = operator.answer(request)
        assert TOKEN not in answer.body.decode() + repr(answer.headers)
