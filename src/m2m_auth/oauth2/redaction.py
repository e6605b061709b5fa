"""Replaces secrets in a server's words: a refusal is shown, and it may repeat what was sent."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

from .secrets import Secret

__all__ = ["Redaction"]

_ANYWHERE = 8
"""A secret of this many characters, and more than letters, is replaced inside longer words, too."""
_NOWHERE_BUT_AS_A_VALUE = 2
"""A secret of this many characters or fewer is replaced only where it stands as a value, or is the whole text."""
_WORD = r"[A-Za-z]{1,19}"
"""No dictionary's word is longer; what is longer is random."""
_BEFORE, _AFTER = r"(?<![A-Za-z0-9_])", r"(?![A-Za-z0-9_])"
_VALUE = r"(?:(?<=[=:'\"`])|(?<=[=:] )|\A(?=.{1,2}\Z))"


class Redaction:
    """A callable that replaces secrets in a text by ``***``, however the server has written them.

    A secret that is a plain word (``client``) is replaced where it stands alone, not inside other words such as
    ``invalid_client``. One or two characters are in every text, so they are replaced only as a value: ``secret=a``.

    Args:
        secrets: the secrets of one token request.
    """

    def __init__(self, secrets: Iterable[Secret]) -> None:
        self._secrets = tuple(secrets)

    def __repr__(self) -> str:
        return "<Redaction>"

    def __call__(self, text: str) -> str:
        """Return the text without the secrets."""
        # The longest first: of two spellings that begin alike, the whole one is replaced.
        spellings = {spelling for secret in self._secrets for spelling in _spellings(secret)}
        patterns = [_in_context(each) for each in sorted(spellings, key=len, reverse=True)]
        patterns += (re.escape(part) for secret in self._secrets for part in _parts_of_base64(secret))
        pattern = "|".join(patterns)
        return re.sub(pattern, "***", text, flags=re.IGNORECASE) if pattern else text


def _in_context(spelling: str) -> str:
    found = re.escape(spelling)
    if len(spelling) <= _NOWHERE_BUT_AS_A_VALUE:
        return _VALUE + found + _AFTER
    if len(spelling) >= _ANYWHERE and not re.fullmatch(_WORD, spelling):
        return found
    # A letter or a digit at the edge must not continue; other characters end a word by themselves.
    before = _BEFORE if spelling[0].isalnum() else ""
    return before + found + (_AFTER if spelling[-1].isalnum() else "")


def _spellings(secret: Secret) -> Iterator[str]:
    """As it is; in JSON; percent-encoded, in forms too, in upper and lower case; in HTML; in base64 and hex."""
    import html  # a large table of names, which only a refusal needs

    text, raw = secret.reveal(), secret.reveal_bytes()
    if not text:
        return
    yield from (text, json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1], repr(text)[1:-1])
    for encoded in (quote(raw, safe=""), quote_plus(raw, safe=""), quote(raw)):
        yield from (encoded, re.sub(r"%[0-9A-F]{2}", lambda found: found[0].lower(), encoded))
    yield quote(quote(raw, safe=""), safe="")  # in a URL that is a parameter of another one
    yield json.dumps(text)[1:-1].replace("/", "\\/")  # PHP's JSON
    yield from (html.escape(text), html.escape(text).replace("&#x27;", "&#39;"))
    yield from (base64.b64encode(raw).decode().rstrip("="), base64.urlsafe_b64encode(raw).decode().rstrip("="))
    if len(raw) >= _ANYWHERE:
        yield raw.hex()


def _parts_of_base64(secret: Secret) -> Iterator[str]:
    """The characters that the secret alone decides where it stands inside of a longer text, such as ``id:secret``.

    There are three, by where the secret begins. Those of a short secret would be found in other words, too.
    """
    raw = secret.reveal_bytes()
    if len(raw) < _ANYWHERE:
        return
    for inside in {raw, quote(raw, safe="").encode()}:
        for before in range(3):
            padded = b"\0" * before + inside
            decided = slice(-(-before * 8 // 6), len(padded) * 8 // 6)
            for encode in (base64.b64encode, base64.urlsafe_b64encode):
                yield encode(padded).decode()[decided]
