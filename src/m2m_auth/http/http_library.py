"""What the steps of a call need to know of an HTTP library. Each front door implements it for its own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..errors import M2MAuthError

__all__ = ["HttpLibrary"]


class HttpLibrary(ABC):
    """How to read the requests and responses of an HTTP library, and how to send a request again.

    The requests have ``method``, ``url`` and ``headers``. A driver wraps those of a library with other names.
    """

    name: str
    """The package's name, which has a row in ``transports.py``."""

    @abstractmethod
    def own_error(self, error: M2MAuthError, request: Any) -> M2MAuthError:
        """The same error, as an instance of the library's base error too."""

    @abstractmethod
    def site(self, request: Any) -> Hashable | None:
        """A cheap value that is equal only for URLs of one origin; None where there is none."""

    @abstractmethod
    def target(self, request: Any) -> str:
        """The URL that the library connects to, for the origin check."""

    @abstractmethod
    def start_of_body(self, request: Any) -> int | None:
        """Where the body starts, if it is a file that can be rewound; :meth:`replay` gets it back."""

    @abstractmethod
    def status(self, response: Any) -> int:
        """The HTTP status."""

    @abstractmethod
    def read(self, response: Any) -> tuple[Mapping[str, str], Any]:
        """The headers, and the request that this response answers: a redirect's target, if one was followed."""

    @abstractmethod
    def replay(self, response: Any, start: int | None) -> Any | None:
        """The answered request once more, with its whole body; None if the body cannot be sent again."""

    def put_header(self, request: Any, name: str, value: str) -> None:
        """Sets a header that is not Authorization. It must not go along with a redirect to another origin."""
        request.headers[name] = value

    @abstractmethod
    def set_cookies(self, response: Any) -> list[str]:
        """The values of the response's Set-Cookie headers."""

    @abstractmethod
    def body(self, response: Any, *, streams: bool) -> bytes:
        """The body, :data:`~m2m_auth.oauth2.transport.MAX_BODY` bytes of it at most; the caller can still read all.

        Args:
            response: the response.
            streams: True if the caller is known to read the body piece by piece.
        """

    async def abody(self, response: Any) -> bytes:
        """The same for asynchronous clients."""
        return self.body(response, streams=False)

    def keep_history(self, second: Any, refused: tuple[Any, ...], first: Any) -> None:  # noqa: B027
        """Puts the refused responses, the redirects before them included, where ``second`` has its history.

        Args:
            second: the answer to the replay.
            refused: the answers up to the one that refused the token.
            first: the answer that the steps were given, to which redirects may have led after that one.
        """

    @abstractmethod
    def close(self, response: Any) -> None:
        """Closes a response without waiting for its body, which may have no end."""

    async def aclose(self, response: Any) -> None:
        """The same for asynchronous clients."""
        self.close(response)

    @abstractmethod
    def followed(self, response: Any) -> Iterable[Any]:
        """The responses before this one, if the library follows redirects without asking the front door."""

    @abstractmethod
    def elapsed(self, response: Any) -> float:
        """Seconds from sending a request to the head of this response; only for those that are ``followed``."""
