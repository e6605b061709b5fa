"""Sealed cache values: a whole value opens under its own key and cache key; everything else is a miss."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from m2m_auth.oauth2.secrets import Secret
from m2m_auth.shared_cache.sealing import Seal, checked_keys

KEY = "m2m1.t.some-cache-key"
OLD, NEW, FOREIGN = (Secret(name * 4) for name in ("old-key-", "new-key-", "foreign-"))


def test_what_was_sealed_opens() -> None:
    """Also for another process, that is, another object with the same key."""
    assert Seal([OLD]).open(KEY, Seal([OLD]).seal(KEY, b'{"value":"x"}')) == b'{"value":"x"}'
    assert Seal([OLD]).open(KEY, Seal([OLD]).seal(KEY, b"")) == b""


def test_the_value_is_not_in_the_seal() -> None:
    """The value is not in the clear, and two sealed values differ: every nonce is new."""
    seal = Seal([OLD])
    sealed = [seal.seal(KEY, b"canary-canary") for _ in range(100)]
    assert len(set(sealed)) == 100
    assert len({value[5:17] for value in sealed}) == 100
    assert not any(b"canary" in value for value in sealed)


def test_a_swapped_value_does_not_open() -> None:
    """The cache key is the associated data: one client's token under another's key is a miss."""
    sealed = Seal([OLD]).seal(KEY, b"x")
    assert Seal([OLD]).open(KEY + "2", sealed) is None
    assert Seal([OLD]).open("", sealed) is None


def test_every_flipped_byte_is_noticed() -> None:
    """Version, key id, nonce, ciphertext, tag: a change of any byte is noticed."""
    seal = Seal([OLD])
    sealed = seal.seal(KEY, b"some value")
    for index in range(len(sealed)):
        for bit in (0x01, 0x80):
            spoilt = sealed[:index] + bytes([sealed[index] ^ bit]) + sealed[index + 1 :]
            assert seal.open(KEY, spoilt) is None, index


def test_every_truncation_and_extension_is_noticed() -> None:
    """A disk that was full, a cache with a size limit, a writer that was killed."""
    seal = Seal([OLD])
    sealed = seal.seal(KEY, b"some value")
    assert all(seal.open(KEY, sealed[:length]) is None for length in range(len(sealed)))
    assert all(seal.open(KEY, sealed[start:]) is None for start in range(1, len(sealed)))
    assert seal.open(KEY, sealed + b"\x00") is None


def test_a_foreign_key_does_not_open() -> None:
    """Another client's credential, or an old secret's."""
    assert Seal([FOREIGN]).open(KEY, Seal([OLD]).seal(KEY, b"x")) is None


def test_keys_rotate() -> None:
    """The first seals, all open; so a fleet can be given a new key host by host."""
    old, both, new = Seal([OLD]), Seal([NEW, OLD]), Seal([NEW])
    assert both.open(KEY, old.seal(KEY, b"x")) == b"x"
    assert new.open(KEY, both.seal(KEY, b"x")) == b"x"
    assert old.open(KEY, both.seal(KEY, b"x")) is None
    assert new.open(KEY, old.seal(KEY, b"x")) is None


def test_the_order_of_keys_only_matters_for_sealing() -> None:
    """Half-way through a rotation the hosts have the same keys in either order, and read each other."""
    one, other = Seal([NEW, OLD]), Seal([OLD, NEW])
    assert one.open(KEY, other.seal(KEY, b"x")) == b"x"
    assert other.open(KEY, one.seal(KEY, b"x")) == b"x"


@pytest.mark.parametrize("version", [0, 2, 255])
def test_another_version_is_a_miss(version: int) -> None:
    """A newer release on another host seals differently: this host mints for itself, and no call fails."""
    sealed = Seal([OLD]).seal(KEY, b"x")
    assert Seal([OLD]).open(KEY, bytes([version]) + sealed[1:]) is None


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=80), st.text(st.characters(exclude_categories=["Cs"]), max_size=10))
def test_noise_is_a_miss(noise: bytes, key: str) -> None:
    """With and without the header of a sealed value."""
    seal = Seal([OLD])
    assert seal.open(key, noise) is None
    assert seal.open(key, seal.seal(key, b"x")[:17] + noise) is None


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=300))
def test_any_value_reads_back(value: bytes) -> None:
    """Values are bytes, whatever they hold."""
    seal = Seal([OLD])
    assert seal.open(KEY, seal.seal(KEY, value)) == value


def test_the_users_own_keys() -> None:
    """Text or bytes, 16 bytes at least (counted as bytes); None means the client's credential."""
    assert checked_keys(None) == ()
    assert checked_keys(["0123456789abcdef", b"0123456789abcdef"]) == (Secret("0123456789abcdef"),) * 2
    assert len(checked_keys(["\u00e4" * 8])) == 1
