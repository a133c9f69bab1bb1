"""nginx, HAProxy, Apache, openssl and Node as servers, each with the smallest configuration that makes the point."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.workerd.config import literal
from reconciler.x509.certificates import parse_stored
from reconciler.x509.pem import encode
from tests.servers import find_program, listening_socket, port_of, process, read_until
from tests.support.runtime_programs import workerd
from tests.support.wrangler_readers import find_node

_NGINX = """\
daemon off; worker_processes 1; pid nginx.pid; error_log stderr info;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path tmp; proxy_temp_path tmp; fastcgi_temp_path tmp; uwsgi_temp_path tmp; scgi_temp_path tmp;
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate server.pem; ssl_certificate_key server.key; ssl_protocols {versions};
    ssl_client_certificate clients.pem; ssl_verify_depth 3; ssl_verify_client {verify};
    {more}
    location / {{ return {status} "$ssl_client_verify $ssl_client_s_dn"; }}
  }}
}}
"""


@contextlib.contextmanager
def nginx(
    folder: Path, verify: str, versions: str = "TLSv1.2 TLSv1.3", *, status: int = 200, more: str = ""
) -> Iterator[int]:
    """The port of an nginx with `ssl_verify_client` as said."""
    program = find_program("nginx")
    with contextlib.closing(listening_socket()) as listener:
        port = port_of(listener)
        text = _NGINX.format(port=port, versions=versions, verify=verify, status=status, more=more)
        (folder / "nginx.conf").write_text(text)
        command = [program, "-p", str(folder), "-c", "nginx.conf", "-e", "stderr"]
        inherited = {"NGINX": f"{listener.fileno()};"}
        with process(command, folder, inherit=(listener.fileno(),), environ=inherited):
            yield port


_HAPROXY = """\
global
  maxconn 64
  ssl-default-bind-options {versions}
defaults
  mode http
  timeout client 10s
  timeout connect 10s
  timeout server 10s
frontend f
  bind fd@{descriptor} ssl crt both.pem ca-file clients.pem {bind}
  http-request return status 200 content-type text/plain string ok
"""


@contextlib.contextmanager
def haproxy(folder: Path, bind: str, versions: str = "ssl-min-ver TLSv1.2") -> Iterator[int]:
    """The port of an HAProxy whose `bind` line ends as said."""
    program = find_program("haproxy")
    with contextlib.closing(listening_socket()) as listener:
        text = _HAPROXY.format(descriptor=listener.fileno(), bind=bind, versions=versions)
        (folder / "haproxy.cfg").write_text(text)
        command = [program, "-db", "-f", "haproxy.cfg"]
        with process(command, folder, inherit=(listener.fileno(),)):
            yield port_of(listener)


_APACHE = """\
ServerRoot {folder}
ServerName localhost
User nobody
Group nogroup
PidFile apache.pid
Mutex file:{folder}
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule status_module {modules}/mod_status.so
LoadModule ssl_module {modules}/mod_ssl.so
Listen 127.0.0.1:{port}
ErrorLog /dev/stderr
LogLevel notice
SSLEngine on
SSLProtocol -all {versions}
SSLSessionCache none
SSLCertificateFile server.pem
SSLCertificateKeyFile server.key
SSLCACertificateFile clients.pem
SSLVerifyDepth 3
<Location />
  SetHandler server-status
</Location>
{verify}
"""


@contextlib.contextmanager
def apache(folder: Path, verify: str, versions: str = "+TLSv1.2 +TLSv1.3") -> Iterator[int]:
    """The port of an Apache with these lines about client certificates."""
    program = find_program("apache2")
    with contextlib.closing(listening_socket()) as free:
        port = port_of(free)  # it can't inherit a socket: whoever else takes the port meanwhile makes it fail to start
    modules = Path("/usr/lib/apache2/modules")
    text = _APACHE.format(folder=folder, modules=modules, port=port, verify=verify, versions=versions)
    (folder / "apache.conf").write_text(text)
    command = [program, "-DFOREGROUND", "-f", str(folder / "apache.conf")]
    with process(command, folder, environ={"APACHE_RUN_DIR": str(folder)}) as started:
        read_until(started, b"configured -- resuming normal operations")
        yield port


@contextlib.contextmanager
def s_server(folder: Path, *options: str) -> Iterator[int]:
    """The port of an `openssl s_server` that answers with its status page."""
    fixed = ["-accept", "127.0.0.1:0", "-www", "-cert", "server.pem", "-key", "server.key", "-CAfile", "clients.pem"]
    with process([find_program("openssl"), "s_server", *fixed, *options], folder) as started:
        yield int(read_until(started, b"ACCEPT").rpartition(b":")[2])


def find_go() -> str:
    """The go command."""
    program = shutil.which("go")
    if program is None:
        pytest.skip("go is not installed, which builds the origin with the TLS of Go")
    return program


@contextlib.contextmanager
def go_tls(folder: Path) -> Iterator[int]:
    """The port of a server with the TLS of Go, built from `go_tls/` beside this file into the folder."""
    program = find_go()
    source = Path(__file__).parent / "go_tls" / "main.go"
    # Outside of any module, so that it behaves as this version of Go does, and not as the one that a go.mod names.
    environ = {**os.environ, "GO111MODULE": "on", "GOWORK": "off", "GOFLAGS": "", "CGO_ENABLED": "0"}
    built = folder / "go-tls"
    command = [program, "build", "-o", str(built), str(source)]
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    with process([str(built)], folder) as started:
        yield int(read_until(started, b"PORT").split()[1])


_WORKERD = """\
using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = (
    modules = [(name = "m.js", esModule = "export default {{ fetch() {{ return new Response('ok'); }} }}")],
    compatibilityDate = "2024-09-23"
  ))],
  sockets = [(name = "s", service = "main", https = (options = (), tlsOptions = (
    keypair = (privateKey = {key}, certificateChain = {chain}),
    requireClientCerts = true, trustedCertificates = [{trusted}]
  )))]
);
"""


@contextlib.contextmanager
def workerd_tls(folder: Path) -> Iterator[int]:
    """The port of a workerd that demands client certificates: an origin with the TLS of Rust."""
    program = workerd()
    trusted = parse_stored((folder / "clients.pem").read_text())
    assert trusted is not None
    text = _WORKERD.format(
        key=literal((folder / "server.key").read_text()),
        chain=literal((folder / "server.pem").read_text()),
        trusted=", ".join(literal(encode("CERTIFICATE", der)) for der in trusted.ders),
    )
    (folder / "origin.capnp").write_text(text)
    with contextlib.closing(listening_socket()) as listener:
        descriptor = listener.fileno()
        command = [str(program), "serve", f"--socket-fd=s={descriptor}", "origin.capnp"]
        with process(command, folder, inherit=(descriptor,)):
            yield port_of(listener)


_NODE = """\
const { readFileSync } = require('fs');
const server = require('https').createServer({
  cert: readFileSync('server.pem'), key: readFileSync('server.key'), ca: readFileSync('clients.pem'),
  requestCert: true, rejectUnauthorized: REJECT, maxVersion: 'VERSION',
}, (request, response) => response.end('ok'));
server.listen(0, '127.0.0.1', () => console.log('PORT ' + server.address().port));
"""


@contextlib.contextmanager
def node(folder: Path, *, reject: bool, version: str = "TLSv1.3") -> Iterator[int]:
    """The port of a Node server that asks for certificates."""
    program = find_node()
    script = _NODE.replace("REJECT", str(reject).lower()).replace("VERSION", version)
    with process([program, "-e", script], folder) as started:
        yield int(read_until(started, b"PORT").split()[1])
