"""The small Worker in front of every Worker that runs here: it refuses requests that a web page may have made.

A page in a browser on this machine can call 127.0.0.1; by DNS rebinding also under a name of its own, and then it can
read the answers. So the `Host` must be an expected one, and `Origin` and `Sec-Fetch-Site` not of another site.
"""

from __future__ import annotations

from collections.abc import Iterable

DATE = "2024-09-23"
"""A compatibility date that is old enough for every workerd that is still in use."""

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_HTTP = 80

SOURCE = b"""\
const refuse = (status, why) => new Response(`mtlsctl dev: ${why}\\n`, { status });
const parse = (url) => { try { return new URL(url); } catch { return { host: "", hostname: "" }; } };

export default {
  fetch(request, { HOSTS, WORKER }) {
    const { headers } = request;
    const hosts = [headers.get("host") ?? "", parse(request.url).host];
    if (!hosts.every((host) => HOSTS.includes(host.toLowerCase()))) {
      return refuse(421, "not an expected host name; use 127.0.0.1 or localhost with the port, or --allow-host HOST");
    }
    const origin = headers.get("origin");
    const known = HOSTS.map((host) => parse(`http://${host}`).hostname);
    const foreign = origin !== null && !known.includes(parse(origin).hostname);
    if (foreign || headers.get("sec-fetch-site") === "cross-site") {
      return refuse(403, "requests from pages of other sites are refused; type the address to open it");
    }
    return WORKER.fetch(request);
  }
}
"""


def hosts_at(port: int, more: Iterable[str] = ()) -> list[str]:
    """The values of `Host` to answer to at this port of the loopback: its own names, and `more` host names."""
    names = [*LOOPBACK, *(name.lower() for name in more)]
    return [f"{name}:{port}" for name in names] + (names if port == _HTTP else [])
