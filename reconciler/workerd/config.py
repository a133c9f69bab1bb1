"""Writes workerd's configuration in the text format of Cap'n Proto: a Worker, and services that send certificates.

Each service is of the kind `network`: as with the real binding, a call goes to the host of its URL, whichever it is,
and sends the certificate there. (The kind `external` would send every call to one address.) The text contains private
keys unencrypted, because workerd requires it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import field

from reconciler.findings.values import dataclass
from reconciler.model.ports import PrivateKey
from reconciler.workerd import door
from reconciler.workerd.form import Module, ModuleKind
from reconciler.x509.certificates import parse_stored
from reconciler.x509.pem import encode

SOCKET = "http"
"""The name of the socket that the Worker listens on; its address is given on the command line."""


@dataclass(frozen=True, slots=True)
class BindingIdentity:
    """The certificate of a binding: PEM of the chain, and its key.

    `trusted` is PEM of CAs that the origin's own certificate may come from, in addition to the roots of this machine;
    with `only_these`, instead of them. Networks in `deny` are not called.
    """

    certificates: str = field(repr=False)
    key: PrivateKey
    trusted: tuple[str, ...] = field(default=(), repr=False)
    only_these: bool = False
    deny: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable: text unchanged, everything else as JSON."""

    value: object = field(repr=False)


@dataclass(frozen=True, slots=True)
class ServedWorker:
    """The content of the configuration. `bindings` are pairs of a name and its value, each name once."""

    modules: Sequence[Module]
    bindings: Sequence[tuple[str, BindingIdentity | Variable]]
    compatibility_date: str
    compatibility_flags: Sequence[str] = ()
    script: bool = False


@dataclass(frozen=True, slots=True)
class Config:
    """The text of the configuration, hidden because it contains private keys."""

    text: str = field(repr=False)


def write_config(worker: ServedWorker, hosts: Sequence[str]) -> Config:
    """The configuration of a Worker on one socket, which only answers requests to these `hosts`, each with its port."""
    identities = [(name, served) for name, served in worker.bindings if isinstance(served, BindingIdentity)]
    networks = [_network(_service(name), identity) for name, identity in identities]
    services = [_door(hosts), _worker(worker), *networks, _INTERNET]
    socket = f'(name = "{SOCKET}", http = (), service = "door")'
    head = 'using Workerd = import "/workerd/workerd.capnp";\n\nconst config :Workerd.Config = '
    return Config(f"{head}(services = {_list(services)}, sockets = [{socket}]);\n")


_EVERYWHERE = 'allow = ["public", "private"]'
"""A developer's origins are often on this machine or in a private network. workerd's own default is "public" alone."""

_INTERNET = f'(name = "internet", network = ({_EVERYWHERE}, tlsOptions = (trustBrowserCas = true)))'
"""What a plain `fetch()` reaches."""


def _door(hosts: Sequence[str]) -> str:
    hosts_text = f'(name = "HOSTS", json = {literal(json.dumps(list(hosts)))})'
    module = f'(name = "door.js", esModule = {_text(door.SOURCE)})'
    bindings = f'[{hosts_text}, (name = "WORKER", service = "main")]'
    return f'(name = "door", worker = (modules = [{module}], compatibilityDate = "{door.DATE}", bindings = {bindings}))'


def _worker(worker: ServedWorker) -> str:
    parts = [
        _code(worker),
        f"compatibilityDate = {literal(worker.compatibility_date)}",
        f"compatibilityFlags = {_list(map(literal, worker.compatibility_flags))}",
        f"bindings = {_list(_bindings(worker.bindings))}",
    ]
    return f'(name = "main", worker = ({", ".join(parts)}))'


def _code(worker: ServedWorker) -> str:
    if worker.script:
        return f"serviceWorkerScript = {_text(worker.modules[0].data)}"
    return f"modules = {_list(map(_module, worker.modules))}"


def _module(module: Module) -> str:
    binary = module.kind in (ModuleKind.DATA, ModuleKind.WASM)
    content = f'0x"{module.data.hex()}"' if binary else _text(module.data)
    return f"(name = {literal(module.name)}, {module.kind} = {content})"


def _bindings(bindings: Iterable[tuple[str, BindingIdentity | Variable]]) -> Iterator[str]:
    for name, served in bindings:
        match served:
            case BindingIdentity():
                value = f"service = {literal(_service(name))}"
            case Variable(str(text)):
                value = f"text = {literal(text)}"
            case Variable(other):
                value = f"json = {literal(json.dumps(other))}"
        yield f"(name = {literal(name)}, {value})"


def _network(name: str, identity: BindingIdentity) -> str:
    pair = f"privateKey = {_text(identity.key.pem)}, certificateChain = {literal(identity.certificates)}"
    trusted = _list(literal(one) for text in identity.trusted for one in _each(text))
    machine = "false" if identity.only_these else "true"
    options = f"keypair = ({pair}), trustBrowserCas = {machine}, trustedCertificates = {trusted}"
    deny = _list(map(literal, identity.deny))
    return f"(name = {literal(name)}, network = ({_EVERYWHERE}, deny = {deny}, tlsOptions = ({options})))"


def _each(text: str) -> Iterator[str]:
    """The certificates of a PEM text, each as its own text: workerd 2025-09 reads only the first of a text."""
    bundle = parse_stored(text)
    yield from (encode("CERTIFICATE", der) for der in bundle.ders) if bundle is not None else (text,)


def _service(binding: str) -> str:
    """workerd's name for the service of a binding, which is in its messages."""
    return f"certificate of {binding}"


def _list(items: Iterable[str]) -> str:
    return f"[{', '.join(items)}]"


def _text(data: bytes) -> str:
    return literal(data.decode("utf-8", "replace"))


_UNPRINTABLE = re.compile(r'[\x00-\x1f"\\\x7f]')


def literal(text: str) -> str:
    """A text literal of Cap'n Proto: half of a surrogate pair, which UTF-8 can't encode, becomes `?`."""
    whole = text.encode("utf-8", "replace").decode()
    return '"' + _UNPRINTABLE.sub(lambda found: f"\\x{ord(found[0]):02x}", whole) + '"'
