"""The way to the API: the proxy and the CA bundle that the environment names, checked before the first call.

Chosen here, as curl and Go choose them, and not by the HTTP library, which refuses every call for one entry of
`NO_PROXY` that it can't parse, and for a proxy that no call would use. No message contains the address of a proxy,
because it may contain a password.
"""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Mapping
from dataclasses import field
from functools import cache
from importlib.util import find_spec
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from reconciler.findings.codes import Code
from reconciler.findings.errors import ReconcilerError
from reconciler.findings.values import dataclass

PROXIES = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
"""In the order in which they count, as in curl; an empty one counts as unset."""
EXCEPTIONS = ("no_proxy", "NO_PROXY")
CA_FILE, CA_FOLDER = "SSL_CERT_FILE", "SSL_CERT_DIR"
OTHER_CA_FILES = ("NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""Where other tools look for a CA bundle; mtlsctl only mentions them."""

_SOCKS = frozenset({"socks5", "socks5h"})
_SCHEMES = frozenset({"http", "https"}) | _SOCKS
_HTTPS_PORT = 443

_Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Proxy:
    """The proxy for calls to the API, and the variable that names it."""

    variable: str
    url: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Network:
    """How calls get to the API. `proxy` None: directly.

    `ca_file` and `ca_folder` are the values of their variables; both empty: the CAs that come with mtlsctl. `unread`
    names a variable of another tool with a CA bundle, where `SSL_CERT_FILE` is not set.
    """

    proxy: Proxy | None = None
    ca_file: str = ""
    ca_folder: str = ""
    unread: str | None = None

    @property
    def trust_hint(self) -> str:
        """What to do if the server's certificate is not trusted."""
        never = "TLS verification can't be turned off"
        named = CA_FILE if self.ca_file else CA_FOLDER if self.ca_folder else None
        if named is not None:
            return f"{named} replaces the public CAs: add the CA that issued this certificate there; {never}"
        also = f" ({self.unread} is set, but mtlsctl does not read it)" if self.unread else ""
        return f"set {CA_FILE} to your company's CA bundle{also}; {never}"


DIRECT = Network()
"""Without a proxy, trusting the public CAs."""


def find_network(base_url: str, environ: Mapping[str, str]) -> Network:
    """The way to the API that the environment describes; ReconcilerError for a proxy that can't be used.

    Plain http, which is for this machine only, never uses a proxy: it could read the token.
    """
    parts = urlsplit(base_url)
    if parts.scheme != "https":
        return DIRECT
    excepted = _is_excepted(parts.hostname or "", parts.port or _HTTPS_PORT, environ)
    return Network(
        proxy=None if excepted else _proxy(environ),
        ca_file=environ.get(CA_FILE, ""),
        ca_folder=environ.get(CA_FOLDER, ""),
        unread=next((name for name in OTHER_CA_FILES if environ.get(name)), None),
    )


# --- proxies --------------------------------------------------------------------------------------------------------


def _proxy(environ: Mapping[str, str]) -> Proxy | None:
    variable = next((name for name in PROXIES if environ.get(name)), None)
    if variable is None:
        return None
    url = environ[variable].strip()
    url = url if "://" in url else f"http://{url}"
    scheme = url.partition("://")[0].lower()
    if scheme not in _SCHEMES:
        # Shown only if it is a scheme: `user:password@...` could stand here.
        shown = f" ({scheme}://)" if re.fullmatch(r"socks4a?|socks|ftp|quic", scheme) else ""
        hint = f"set {variable} to an http://, https:// or socks5:// URL, or unset it"
        raise _unusable(f"{variable} names a proxy of a kind that mtlsctl can't use{shown}", hint)
    if not _is_url(url):
        hint = (
            f"write {variable} like http://proxy.example:8080; in a user name or password, write @ as %40 and / as %2F"
        )
        raise _unusable(f"{variable} is not a valid proxy URL", hint)
    if scheme in _SOCKS and find_spec("socksio") is None:
        hint = (
            "install mtlsctl again with it, in its checkout: pipx install --force '.[socks]'; or set HTTPS_PROXY to an"
            " http:// proxy, or add the server's host to NO_PROXY"
        )
        raise _unusable(f"{variable} names a SOCKS proxy, which needs the package socksio", hint)
    return Proxy(variable, url)


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        usable = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return usable and re.search(r"[\s\\]", url) is None


def _is_excepted(host: str, port: int, environ: Mapping[str, str]) -> bool:
    """Whether `NO_PROXY` names this host, alone or with this port."""
    text = next((environ[name] for name in EXCEPTIONS if environ.get(name)), "")
    address = _address(host)
    return any(_excepts(entry, host.lower().rstrip("."), address, port) for entry in re.split(r"[,\s]+", text) if entry)


def _excepts(entry: str, host: str, address: _Address | None, port: int) -> bool:
    """Whether one entry names the host: `*`, a domain, an address or a block of addresses; the first three can have a
    port. What is none of these names nothing."""
    if entry == "*":
        return True
    if "/" in entry and "://" not in entry:
        return _is_in_block(address, entry)
    name, wanted = _split(entry.removeprefix("https://"))
    if wanted is not None and wanted != str(port):
        return False
    named = _address(name)
    if named is not None or address is not None:
        return named is not None and named == address
    name = name.lower().removeprefix("*").strip(".")
    return bool(name) and (host == name or host.endswith(f".{name}"))


def _split(entry: str) -> tuple[str, str | None]:
    """Host and port of `host`, `host:port`, `::1`, `[::1]` and `[::1]:port`."""
    found = re.fullmatch(r"\[([^\]]*)\](?::(\d+))?", entry)
    if found is not None:
        return found[1], found[2]
    name, colon, port = entry.partition(":")
    return (entry, None) if not colon or ":" in port else (name, port)


def _address(text: str) -> _Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _is_in_block(address: _Address | None, block: str) -> bool:
    """Whether `10.0.0.0/8` or `fd00::/8` contains the address; anything else contains none."""
    try:
        return address is not None and address in ip_network(re.sub(r"[\[\]]", "", block), strict=False)
    except ValueError:
        return False


# --- certificate authorities ----------------------------------------------------------------------------------------


def trusted(network: Network) -> ssl.SSLContext:
    """TLS settings with the CAs of `SSL_CERT_FILE`, else of `SSL_CERT_DIR`, else those that come with httpx.

    ReconcilerError that names the variable, its value, and what is wrong with it.
    """
    if network.ca_file:
        context = _with_file(network.ca_file)
    elif network.ca_folder:
        context = _with_folders(network.ca_folder)
    else:
        context = _packaged()
    return _unlogged(context)


def trusting_only(roots: bytes) -> ssl.SSLContext:
    """TLS settings with these CAs alone (PEM). ssl.SSLError or ValueError if there are none, or a damaged one."""
    text = roots.decode("ascii")
    if not text.strip():
        raise ValueError  # the standard library takes an empty text for none, and trusts the CAs of the machine
    return _unlogged(ssl.create_default_context(cadata=text))


def _unlogged(context: ssl.SSLContext) -> ssl.SSLContext:
    """By SSLKEYLOGFILE, the session keys of the connection that carries private keys would be written to a file."""
    context.keylog_filename = None  # type: ignore[assignment]
    return context


@cache
def _packaged() -> ssl.SSLContext:
    """The CAs that come with httpx. Reading them takes as long as a short call."""
    return httpx.create_ssl_context(trust_env=False)


def _with_file(path: str) -> ssl.SSLContext:
    named = f"{CA_FILE} names {path!r}, which"
    if not Path(path).exists():
        raise _unusable(f"{named} does not exist", _path_hint(CA_FILE, path))
    if not Path(path).is_file():
        hint = f"name a PEM file with CA certificates; for a folder of them, set {CA_FOLDER}"
        raise _unusable(f"{named} is not a file", hint)
    try:
        return ssl.create_default_context(cafile=path)
    except ssl.SSLError:
        hint = "name a PEM file: each of its CA certificates begins with -----BEGIN CERTIFICATE-----"
        raise _unusable(f"{named} contains no certificates in PEM, or a damaged one", hint) from None
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else type(error).__name__
        raise _unusable(f"{named} could not be read: {reason}", "let this user read the file") from None


def _with_folders(paths: str) -> ssl.SSLContext:
    """As OpenSSL, which takes several folders, joined like PATH; those that exist count."""
    folders = [path for path in paths.split(os.pathsep) if path]
    if not any(Path(path).is_dir() for path in folders):
        first = folders[0] if folders else paths
        missing = "does not exist" if not Path(first).exists() else "is not a folder"
        raise _unusable(f"{CA_FOLDER} names {first!r}, which {missing}", _path_hint(CA_FOLDER, first))
    return ssl.create_default_context(capath=paths)


def _path_hint(variable: str, path: str) -> str:
    if path.startswith("~"):
        return f"write the full path in {variable}; only a shell expands ~, and not inside quotes"
    relative = "" if path.startswith("/") else f"; {path!r} is relative to the working directory"
    return f"correct {variable}, or unset it to use the public CAs{relative}"


def _unusable(message: str, hint: str) -> ReconcilerError:
    return ReconcilerError(message, hint=hint, code=Code.VARIABLE_INVALID)
