"""The framework-neutral ends of a service: what it is asked, what it answers, and how WSGI and ASGI carry both.

A service (the token proxy, the vending endpoint) is one object with one method. It reads a :class:`Request` and
returns an :class:`Answer`. Everything that depends on how a server hands over a request is here and in the two
integrations, so that a rule is written once, in the service.
"""

from .asgi_application import asgi
from .client_address import client_address
from .http_messages import MAX_BODY, Answer, Request, Service, answered
from .wsgi_application import wsgi

__all__ = ["MAX_BODY", "Answer", "Request", "Service", "answered", "asgi", "client_address", "wsgi"]
