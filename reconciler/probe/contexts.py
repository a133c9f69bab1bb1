"""What a connection may and may not do, said in full: the defaults of Python change from version to version."""

from __future__ import annotations

import ssl

from reconciler.probe.keyfile import load_pair
from reconciler.probe.watch import Watch
from reconciler.proof.ports import ClientIdentity, ProbeTarget


def make_context(
    target: ProbeTarget, pair: ClientIdentity | None, watch: Watch, *, late: bool = False
) -> ssl.SSLContext:
    """A context for one connection. `late`: let the origin ask for a certificate after the handshake, as no Worker can.

    ssl.SSLError where the TLS library does not take the pair.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = ssl.TLSVersion.MAXIMUM_SUPPORTED
    context.check_hostname = True
    context.verify_mode = ssl.CERT_REQUIRED
    # Not STRICT and not PARTIAL_CHAIN, which are Python's defaults from 3.13 on: the same origin must look the same.
    context.verify_flags = ssl.VerifyFlags.VERIFY_X509_TRUSTED_FIRST
    # No session: an origin does not ask again for the certificate of one that it knows.
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_COMPRESSION
    context.post_handshake_auth = late
    if not late:
        context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    if target.roots is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        context.load_verify_locations(cadata=target.roots.pem())
    if pair is not None:
        load_pair(context, pair)
    watch.attach(context)
    return context
