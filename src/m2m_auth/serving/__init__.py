"""The framework-neutral side of a service: a request, an answer, and how WSGI and ASGI carry both.

A service (the token proxy, the vending endpoint) is one object with one method. It reads a :class:`Request` and
returns an :class:`Answer`. Only this package and the Django and Flask packages know how a server hands over a request,
so each rule of a service is written once.
"""

from .asgi_application import asgi
from .client_address import client_address
from .http_messages import MAX_BODY, Answer, Request, Service, answered
from .wsgi_application import wsgi

__all__ = ["MAX_BODY", "Answer", "Request", "Service", "answered", "asgi", "client_address", "wsgi"]
