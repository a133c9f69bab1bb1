"""nginx as an origin that enforces mutual TLS; it answers with what it saw of the client."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.origins import client_ca, server_pair

_CONFIG = """\
daemon off; worker_processes 1; pid nginx.pid; error_log stderr info;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path tmp; proxy_temp_path tmp; fastcgi_temp_path tmp; uwsgi_temp_path tmp; scgi_temp_path tmp;
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate server.pem; ssl_certificate_key server.pem;
    ssl_client_certificate clients.pem; ssl_verify_client on;
    location / {{ return 200 "$ssl_client_verify $ssl_client_s_dn"; }}
  }}
}}
"""


@contextlib.contextmanager
def nginx(folder: Path) -> Iterator[str]:
    """Its URL."""
    program = shutil.which("nginx", path=os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin")))
    if program is None:
        reason = "nginx is not installed: run tests/servers/setup"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listening:
        listening.setblocking(False)
        port = listening.getsockname()[1]
        own = server_pair("localhost")
        (folder / "server.pem").write_bytes(own.certificate_pem + own.key_pem)
        (folder / "clients.pem").write_bytes(client_ca().certificate_pem)
        (folder / "nginx.conf").write_text(_CONFIG.format(port=port))
        process = subprocess.Popen(
            [program, "-p", str(folder), "-c", "nginx.conf", "-e", "stderr"],
            env={"NGINX": f"{listening.fileno()};"},  # the socket that it is to inherit
            pass_fds=[listening.fileno()],
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            yield f"https://localhost:{port}/health"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
