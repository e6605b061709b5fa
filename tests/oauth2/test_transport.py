"""What goes to a transport and comes back, and how a library's exception becomes words without a secret."""

from __future__ import annotations

import itertools

import pytest

from m2m_auth.oauth2.transport import MAX_BODY, HttpRequest, HttpResponse, TransportError, describe


def test_header_names_of_a_response_are_in_lower_case() -> None:
    """The parsers look them up so; values stay as they are."""
    response = HttpResponse(200, {"Content-TYPE": "Text/HTML"}, b"body")
    assert (response.status, response.headers, response.body) == (200, {"content-type": "Text/HTML"}, b"body")


def test_a_request_has_what_a_transport_needs() -> None:
    """The five things, as they were given."""
    request = HttpRequest("POST", "https://a.example/", {"A": "b"}, b"body", 1.5)
    assert (request.method, request.url, request.headers) == ("POST", "https://a.example/", {"A": "b"})
    assert (request.body, request.timeout) == (b"body", 1.5)


def test_a_body_is_a_mebibyte_at_most() -> None:
    """A token response is far shorter, and a hostile one cannot fill the memory."""
    assert MAX_BODY == 1_048_576


def test_a_transport_error_has_a_cause() -> None:
    """``connection`` unless the transport knows better."""
    assert (str(TransportError("x")), TransportError("x").cause_code) == ("x", "connection")
    assert TransportError("x", "tls").cause_code == "tls"


class Wrapped(Exception):
    """An HTTP library's exception, whose text may hold the request."""

    reason: object = None


def chained(*links: BaseException) -> BaseException:
    """Each exception caused by the next one."""
    for outer, inner in itertools.pairwise(links):
        outer.__cause__ = inner
    return links[0]


def contextual() -> BaseException:
    """An exception raised while another one was handled."""
    try:
        try:
            raise ConnectionRefusedError(111, "Connection refused")
        except OSError:
            raise Wrapped("s3cr3t")  # noqa: B904
    except Wrapped as error:
        return error


def with_reason(reason: object) -> BaseException:
    """An exception with a ``reason``, as urllib3's have it."""
    error = Wrapped("s3cr3t")
    error.reason = reason
    return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (Wrapped("s3cr3t"), "Wrapped"),
        (OSError(111, "Connection refused"), "ConnectionRefusedError: Connection refused"),
        (OSError("s3cr3t"), "OSError"),
        (TimeoutError("s3cr3t"), "TimeoutError"),
        (chained(Wrapped("s3cr3t"), OSError(104, "Connection reset")), "ConnectionResetError: Connection reset"),
        (contextual(), "ConnectionRefusedError: Connection refused"),
        (with_reason(OSError(2, "No such file")), "FileNotFoundError: No such file"),
        (with_reason("s3cr3t"), "Wrapped"),
        (Wrapped(OSError(13, "Permission denied")), "PermissionError: Permission denied"),
        (Wrapped("s3cr3t", OSError(13, "Permission denied")), "Wrapped"),
        (
            chained(Wrapped(ValueError("s3cr3t")), OSError(104, "Connection reset")),
            "ConnectionResetError: Connection reset",
        ),
        (with_reason(chained(Wrapped("s3cr3t"), Wrapped(ValueError("s3cr3t")))), "ValueError"),
    ],
)
def test_the_innermost_reason_is_described(error: BaseException, words: str) -> None:
    """By its type, and by the words of an operating system error only."""
    assert describe(error) == words


def test_a_long_chain_is_followed_for_eight_links() -> None:
    """A chain that leads back to itself ends too."""
    links = [type(f"Link{number}", (Exception,), {})() for number in range(12)]
    assert describe(chained(*links)) == "Link8"
    one = Wrapped()
    one.reason = one
    assert describe(one) == "Wrapped"
