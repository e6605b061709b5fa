"""An object as a part of a key, by identity."""

from __future__ import annotations

__all__ = ["IdentityKey", "identity_key"]


class IdentityKey:
    """Equal only to a key of the same object; it keeps the object alive, so that its id is not used again."""

    __slots__ = ("_target",)

    def __init__(self, target: object) -> None:
        self._target = target

    def __eq__(self, other: object) -> bool:
        return isinstance(other, IdentityKey) and other._target is self._target

    def __hash__(self) -> int:
        return id(self._target)


_NONE = IdentityKey(None)


def identity_key(target: object) -> IdentityKey:
    """``target`` as a part of a key."""
    return _NONE if target is None else IdentityKey(target)
