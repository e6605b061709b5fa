"""The configuration's TOML file: every key is known, every value has its type, and each error names the line."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

from ...errors import ConfigurationError, missing_extra
from ...oauth2.secrets import Secret
from .config import ProxyConfig, UpstreamConfig, VendorConfig
from .config_keys import PROXY, UPSTREAM, VENDOR, KeyPath, WrongValue, read_secret, read_table, read_text
from .vendors_file import VENDORS_FILE, read_vendors

__all__ = ["ConfigDocument", "load", "read_document", "read_vendors_place"]

_NO_PEPPER = (
    "pepper is missing. Fix: python -c 'import secrets; print(secrets.token_urlsafe(32))' > pepper, "
    "and pepper = { file = 'pepper' }"
)


class ConfigDocument(NamedTuple):
    """A configuration file, parsed."""

    file: Path
    text: str
    data: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"<ConfigDocument {self.file}>"

    def error(self, path: KeyPath, problem: str) -> ConfigurationError:
        """The error for the value of a key; the message names the line."""
        line = _line_of(self.text, path)
        return ConfigurationError(f"{self.file}{'' if line is None else f', line {line}'}: {problem}")


def read_document(path: str | Path) -> ConfigDocument:
    """The file, parsed as TOML. Raises ConfigurationError if it cannot be read or is not TOML, with the line."""
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
        return ConfigDocument(file, text, tomllib.loads(text))
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
        path: the file. Other files that it names are looked up in its folder.

    Raises:
        ConfigurationError: what is wrong in which line, the nearest name of an unknown key, and the fix.
    """
    document = read_document(path)
    try:
        config = _config(document)
    except WrongValue as wrong:
        found = wrong
    else:
        return _checked(document, config)
    raise document.error(found.path, found.problem)


def read_vendors_place(path: str | Path) -> tuple[Path, Secret]:
    """The path of a configuration's vendors file, and the pepper. The rest of the configuration may be unfinished.

    Raises:
        ConfigurationError: the configuration is not TOML, or has no pepper.
    """
    document = read_document(path)
    folder, data = document.file.parent, document.data
    try:
        pepper = read_secret(data["pepper"], ("pepper",), folder) if "pepper" in data else None
        name = read_text(data.get("vendors_file", VENDORS_FILE), ("vendors_file",), folder)
    except WrongValue as wrong:
        found = wrong
    else:
        if pepper is not None:
            return folder / name, pepper
        found = WrongValue(("pepper",), _NO_PEPPER)
    raise document.error(found.path, found.problem)


def _checked(document: ConfigDocument, config: ProxyConfig) -> ProxyConfig:
    problem = ""
    try:
        return config.checked()
    except ConfigurationError as error:
        problem = str(error)
    key = problem.partition("=")[0].partition(":")[0].partition(" ")[0]
    raise document.error(tuple(key.split(".")), problem)


def _config(document: ConfigDocument) -> ProxyConfig:
    folder, data = document.file.parent, document.data
    tables = {"upstreams": data.get("upstreams", {}), "vendors": data.get("vendors", {})}
    options = read_table({name: value for name, value in data.items() if name not in tables}, PROXY, (), folder)
    pepper = options.get("pepper")
    if pepper is None:
        raise WrongValue(("pepper",), _NO_PEPPER)
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
        raise WrongValue((name,), f"{name} must be tables. Fix: [{name}.NAME]")
    return cast("dict[str, Any]", given)


_HEADER = re.compile(r"\s*\[\[?\s*(.*?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"""\s*((?:"[^"]*"|'[^']*'|[A-Za-z0-9_-]+)(?:\s*\.\s*(?:"[^"]*"|'[^']*'|[A-Za-z0-9_-]+))*)\s*=""")
_PART = re.compile(r""""([^"]*)"|'([^']*)'|([A-Za-z0-9_-]+)""")


def _line_of(text: str, path: Sequence[str]) -> int | None:
    """The line of the key ``path``, from 1, or of the nearest table around it; None if there is neither."""
    wanted = ".".join(path) + "."  # compared as text: a name may contain dots, and messages do not mark them
    table: tuple[str, ...] = ()
    best: tuple[int, int] | None = None
    for number, line in enumerate(text.splitlines(), 1):
        header, key = _HEADER.match(line), _KEY.match(line)
        if header is not None and key is None:
            current = table = _parts(header[1])
        elif key is not None:
            current = (*table, *_parts(key[1]))
        else:
            continue
        found = ".".join(current) + "."
        if wanted.startswith(found) and (best is None or len(found) > best[0]):
            best = len(found), number
    return None if best is None else best[1]


def _parts(dotted: str) -> tuple[str, ...]:
    """The names in a dotted key, without their quotes."""
    groups: list[tuple[str | None, ...]] = [found.groups() for found in _PART.finditer(dotted)]
    return tuple(next(name for name in names if name is not None) for names in groups)
