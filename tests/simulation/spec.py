"""What a simulated mtls.toml declares, and its text. The tool reads the text; nothing of this reaches it otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

DECLARATION = "mtls.toml"
STACK = "payments"
OTHER_STACK = "search"
FORMER_STACK = "payments-old"
CONFIG = "db"
"""The one Hyperdrive configuration that there is."""
ZONE, ZONE_ID = "example.com", "e" * 32
"""The one zone that there is."""
HOSTS = ("api.example.com", "pay.example.com")
TOP = ""
"""The top-level environment, wherever a name is needed."""


@dataclass
class Certificate:
    """One `[certificates.NAME]`. `content` None: its file is damaged. `key`: env, file, or "" for none."""

    content: int | None
    key: str = "env"
    ca: bool = False
    supersedes: tuple[str, ...] = ()
    grace_hours: int | None = None


@dataclass
class Worker:
    """One `[workers.LABEL]`. `tables`: environment to binding to a certificate's name, or `id:` and an id."""

    config: str
    tables: dict[str, dict[str, str]] = field(default_factory=dict)
    exclusive: bool = True


@dataclass
class Spec:
    """One mtls.toml."""

    certificates: dict[str, Certificate] = field(default_factory=dict)
    workers: dict[str, Worker] = field(default_factory=dict)
    former_stacks: tuple[str, ...] = ()
    grace_days: int = 7
    prune: bool = False
    max_deletes: int = 10
    rollback: int = 1
    protect: tuple[str, ...] = ()
    account: str | None = None
    hyperdrive: bool = False
    """Whether `[hyperdrive.db]` is declared, with the first leaf that is."""
    hostnames: bool = False
    """Whether `[hostnames."ZONE"]` is declared, with the first CA that is."""

    def copy(self) -> Spec:
        """The same, apart from this one."""
        return replace(
            self,
            certificates={name: replace(certificate) for name, certificate in self.certificates.items()},
            workers={
                label: replace(worker, tables={name: dict(table) for name, table in worker.tables.items()})
                for label, worker in self.workers.items()
            },
        )

    def render(self) -> bytes:
        """The text of mtls.toml."""
        return "\n".join(self._lines()).encode() + b"\n"

    def bindings_of(self, name: str) -> Iterator[tuple[dict[str, str], str]]:
        """Each table that binds a certificate, with the binding."""
        for worker in self.workers.values():
            for table in worker.tables.values():
                yield from ((table, binding) for binding, target in list(table.items()) if target == name)

    def _lines(self) -> Iterator[str]:
        former = ", ".join(f'"{stack}"' for stack in self.former_stacks)
        yield f'version = 1\nstack = "{STACK}"\nformer_stacks = [{former}]\n'
        if self.account is not None:
            yield f'[store]\nkind = "cloudflare"\naccount_id = "{self.account}"\n'
        yield f'[policy]\ngrace = "{self.grace_days}d"\nprune = {str(self.prune).lower()}'
        yield f"max_deletes = {self.max_deletes}\nrollback_versions = {self.rollback}"
        yield f"protect = [{', '.join(map(_quoted, self.protect))}]\n"
        for name, certificate in self.certificates.items():
            yield from _certificate_lines(name, certificate)
        leaf = next((name for name, certificate in self.certificates.items() if not certificate.ca), None)
        if self.hyperdrive and leaf is not None:
            yield f'[hyperdrive.db]\nconfig = "{CONFIG}"\ncertificate = "{leaf}"\n'
        root = next((name for name, certificate in self.certificates.items() if certificate.ca), None)
        if self.hostnames and root is not None:
            yield f'[hostnames."{ZONE}"]\n{root} = [{", ".join(map(_quoted, HOSTS))}]\n'
        for label, worker in self.workers.items():
            yield f'[workers.{label}]\nconfig = "{worker.config}"\nexclusive = {str(worker.exclusive).lower()}\n'
            for environment, table in worker.tables.items():
                prefix = f"env.{environment}." if environment else ""
                yield f"[workers.{label}.{prefix}bindings]"
                yield from (f"{binding} = {_target(target)}" for binding, target in table.items())


def _quoted(text: str) -> str:
    return f'"{text}"'


def key_variable(name: str) -> str:
    """The environment variable of a certificate's key."""
    return f"{name.upper()}_KEY"


def certificate_path(name: str) -> str:
    """The certificate's file."""
    return f"certs/{name}.pem"


def key_path(name: str) -> str:
    """The key's file."""
    return f"keys/{name}.key"


def _certificate_lines(name: str, certificate: Certificate) -> Iterator[str]:
    yield f'[certificates.{name}]\ncertificate = "{certificate_path(name)}"'
    if certificate.ca:
        yield "ca = true"
    elif certificate.key == "env":
        yield f'private_key = {{ env = "{key_variable(name)}" }}'
    elif certificate.key == "file":
        yield f'private_key = "{key_path(name)}"'
    if certificate.supersedes:
        yield f"supersedes = [{', '.join(repr(item) for item in certificate.supersedes)}]"
    if certificate.grace_hours is not None:
        yield f'grace = "{certificate.grace_hours}h"'
    yield ""


def _target(target: str) -> str:
    return f'{{ id = "{target[3:]}" }}' if target.startswith("id:") else f'"{target}"'
