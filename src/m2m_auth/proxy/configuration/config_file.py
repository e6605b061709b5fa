"""A configuration from its TOML file: every key known, every value of its type, and the line in each complaint."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

from ...errors import ConfigurationError, missing_extra
from ...oauth2.secrets import Secret
from .config import ProxyConfig, UpstreamConfig, VendorConfig
from .config_keys import PROXY, UPSTREAM, VENDOR, Place, Wrong, read_secret, read_table, read_text
from ..toml_lines import line_of
from .vendors_file import VENDORS_FILE, read_vendors

__all__ = ["Document", "load", "read_document", "read_place"]

_NO_PEPPER = (
    "pepper is missing. Fix: python -c 'import secrets; print(secrets.token_urlsafe(32))' > pepper, "
    "and pepper = { file = 'pepper' }"
)


class Document(NamedTuple):
    """A configuration file, parsed."""

    file: Path
    text: str
    data: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"<Document {self.file}>"

    def wrong(self, place: Place, words: str) -> ConfigurationError:
        """The error for what stands at a place."""
        line = line_of(self.text, place)
        return ConfigurationError(f"{self.file}{'' if line is None else f', line {line}'}: {words}")


def read_document(path: str | Path) -> Document:
    """The file, as TOML. Raises ConfigurationError: it is not there, or not TOML, and in which line."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        try:
            import tomli as tomllib
        except ImportError as error:
            raise ConfigurationError(missing_extra("m2m_auth.proxy", error, "proxy")) from None
    file = Path(path)
    problem = ""
    try:
        text = file.read_text("utf-8")
        return Document(file, text, tomllib.loads(text))
    except OSError as error:
        problem = f"{error.strerror}. Fix: name the proxy's configuration, see docs/proxy.md"
    except UnicodeDecodeError:
        problem = "it is not UTF-8"
    except tomllib.TOMLDecodeError as error:
        problem = str(error)  # says which line and column
    raise ConfigurationError(f"{file}: {problem}")


def load(path: str | Path) -> ProxyConfig:
    """The configuration in a TOML file, with the vendors file beside it.

    Args:
        path: the file; other files that it names are looked for beside it.

    Raises:
        ConfigurationError: what is wrong in which line, the nearest name of an unknown key, and the fix.
    """
    document = read_document(path)
    try:
        config = _config(document)
    except Wrong as wrong:
        found = wrong
    else:
        return _checked(document, config)
    raise document.wrong(found.place, found.words)


def read_place(path: str | Path) -> tuple[Path, Secret]:
    """Where the vendors file of a configuration is, and the pepper for what it holds; the rest may be unfinished.

    Raises:
        ConfigurationError: the configuration is not TOML, or has no pepper.
    """
    document = read_document(path)
    folder, data = document.file.parent, document.data
    try:
        pepper = read_secret(data["pepper"], ("pepper",), folder) if "pepper" in data else None
        name = read_text(data.get("vendors_file", VENDORS_FILE), ("vendors_file",), folder)
    except Wrong as wrong:
        found = wrong
    else:
        if pepper is not None:
            return folder / name, pepper
        found = Wrong(("pepper",), _NO_PEPPER)
    raise document.wrong(found.place, found.words)


def _checked(document: Document, config: ProxyConfig) -> ProxyConfig:
    problem = ""
    try:
        return config.checked()
    except ConfigurationError as error:
        problem = str(error)
    where = problem.partition("=")[0].partition(":")[0].partition(" ")[0]
    raise document.wrong(tuple(where.split(".")), problem)


def _config(document: Document) -> ProxyConfig:
    folder, data = document.file.parent, document.data
    tables = {"upstreams": data.get("upstreams", {}), "vendors": data.get("vendors", {})}
    options = read_table({name: value for name, value in data.items() if name not in tables}, PROXY, (), folder)
    pepper = options.get("pepper")
    if pepper is None:
        raise Wrong(("pepper",), _NO_PEPPER)
    vendors_file = folder / options.pop("vendors_file", VENDORS_FILE)
    upstreams = {
        name: UpstreamConfig(**read_table(table, UPSTREAM, ("upstreams", name), folder, needed=("token_endpoint",)))
        for name, table in _tables(tables["upstreams"], "upstreams").items()
    }
    own = {
        name: read_table(table, VENDOR, ("vendors", name), folder)
        for name, table in _tables(tables["vendors"], "vendors").items()
    }
    added = read_vendors(vendors_file, pepper)
    vendors = {name: VendorConfig(**{**added.get(name, {}), **own.get(name, {})}) for name in {**own, **added}}
    return ProxyConfig(upstreams=upstreams, vendors=vendors, **options)


def _tables(given: object, name: str) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise Wrong((name,), f"{name} must be tables. Fix: [{name}.NAME]")
    return cast("dict[str, Any]", given)
