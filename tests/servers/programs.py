"""nginx, HAProxy, Apache, openssl and Node as servers, each with the smallest configuration that makes the point."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tests.servers import find_program, listening_socket, port_of, process, read_until
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
