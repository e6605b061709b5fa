"""What the steps of a call need to know of an HTTP library. Each front door implements it for its own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..errors import TokenUnavailable

__all__ = ["HttpLibrary"]


class HttpLibrary(ABC):
    """How to read the requests and responses of an HTTP library, and how to send a request again.

    The requests have ``method``, ``url`` and ``headers``. A driver wraps those of a library with other names.
    """

    name: str
    """The package's name, which has a row in ``transports.py``."""

    @abstractmethod
    def own_error(self, error: TokenUnavailable, request: Any) -> TokenUnavailable:
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
