"""The Workers that make one call through their binding, here or at the edge, and the result of their answer.

On this machine workerd's output says more than the answer.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from reconciler.proof.reach import OriginCall, Reach, Reached
from reconciler.workerd.config import BindingIdentity, Config, ServedWorker, Variable, write_config
from reconciler.workerd.door import DATE, hosts_at
from reconciler.workerd.form import Module, ModuleKind
from reconciler.workerd.output import find_failure

_CALL = b"""\
const call = async (env) => {
  try {
    const signal = AbortSignal.timeout(Number(env.TIMEOUT_MS));
    const reply = await env.MY_CERT.fetch(env.URL, { redirect: "manual", signal });
    const { value } = reply.body ? await reply.body.getReader().read() : {};
    const body = new TextDecoder().decode((value ?? new Uint8Array()).subarray(0, 4096));
    return Response.json({ status: reply.status, body, proxied: reply.headers.has("cf-ray") });
  } catch (error) {
    return Response.json({ error: String(error), name: error.name });
  }
};
"""
_WORKER = _CALL + b"export default { fetch: (request, env) => call(env) };\n"

EDGE_WORKER = (
    _CALL
    + b"""\
const digest = (text) => crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));

export default {
  async fetch(request, env) {
    const given = await digest(request.headers.get("authorization") ?? "");
    const wanted = await digest(`Bearer ${env.SECRET}`);
    return crypto.subtle.timingSafeEqual(given, wanted) ? call(env) : new Response(null, { status: 404 });
  }
};
"""
)
"""Makes the same call, but only for who has the secret, which is compared in constant time; to all others it looks like
a Worker that does not exist."""


def reaching_config(call: OriginCall, *, port: int, timeout_s: float, deny: tuple[str, ...]) -> Config:
    """A Worker that makes this call for every request to this port, and answers with the result.

    Nothing in the networks of `deny` is called.
    """
    identity = BindingIdentity(
        call.certificates, call.key, tuple(call.trusted), only_these=bool(call.trusted), deny=deny
    )
    bindings: list[tuple[str, BindingIdentity | Variable]] = [
        ("MY_CERT", identity),
        ("URL", Variable(call.url)),
        ("TIMEOUT_MS", Variable(round(timeout_s * 1000))),
    ]
    worker = ServedWorker([Module("main.js", ModuleKind.ES, _WORKER)], bindings, DATE)
    return write_config(worker, hosts_at(port))


def refused(lines: Sequence[str]) -> Reach:
    """The result if workerd did not start, from its output."""
    failure = find_failure(lines)
    if failure is not None and failure.reached is Reached.UNUSABLE:
        return Reach(failure.reached, failure.detail)
    return Reach(Reached.INCONCLUSIVE, f"workerd did not start: {_first(lines)}")


def judge(answer: bytes, lines: Sequence[str]) -> Reach:
    """The result of a call, from the Worker's answer and workerd's output."""
    reply = _read(answer)
    if reply is None:
        return Reach(Reached.INCONCLUSIVE, f"workerd's answer can't be read: {_first(lines)}")
    status = reply.get("status")
    if isinstance(status, int):
        reach = _judge_reply(status, str(reply.get("body", "")))
        return replace(reach, proxied=reply.get("proxied") is True)
    failure = find_failure(lines)
    if failure is not None:
        return Reach(failure.reached, failure.detail, alert=failure.alert)
    if reply.get("name") == "TimeoutError":
        return Reach(Reached.UNREACHABLE, "the origin did not answer in time")
    if "Network connection lost" in str(reply.get("error")):
        # A closed port looks like this, and an origin that refuses a certificate without an alert, as Node does.
        return Reach(Reached.INCONCLUSIVE, "the connection was refused, or closed without a reason")
    return Reach(Reached.INCONCLUSIVE, f"the call failed: {str(reply.get('error'))[:200]}")


def judge_edge(answer: bytes) -> Reach | None:
    """The result of a call from the edge, from its Worker's answer; None if another program answered."""
    return judge(answer, ()) if (_read(answer) or {}).keys() & {"status", "error"} else None


def _read(answer: bytes) -> dict[str, object] | None:
    try:
        reply = json.loads(answer)
    except (ValueError, RecursionError):
        return None
    return reply if isinstance(reply, dict) else None


_NGINX = (
    ("No required SSL certificate was sent", Reached.NOT_SENT, "the origin says that it received no certificate"),
    (
        "The SSL certificate error",
        Reached.REJECTED,
        "the origin does not accept the certificate; its log has the reason",
    ),
)
"""nginx completes the handshake and answers 400 with one of these pages."""


def _judge_reply(status: int, body: str) -> Reach:
    if status == 400:
        for words, reached, detail in _NGINX:
            if words in body:
                return Reach(reached, detail, status)
    return Reach(Reached.ANSWERED, f"the origin answered {status}", status)


def _first(lines: Sequence[str]) -> str:
    return next((line[:200] for line in lines if line), "no output")
