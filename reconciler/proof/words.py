"""What is said to a person about a verdict: why an origin may refuse, and what can be done."""

from __future__ import annotations

REJECTIONS = {
    "bad_certificate": "it calls this certificate bad, as some servers do for every fault",
    "unsupported_certificate": "it rejects this certificate as not meant for TLS clients",
    "certificate_revoked": "it rejects this certificate as revoked",
    "certificate_expired": "it rejects this certificate as expired",
    "certificate_unknown": "it rejects this certificate without a reason",
    "unknown_ca": "it does not know the CA of this certificate, or an intermediate is missing",
    "access_denied": "it knows this certificate and denies it access",
}

HINTS = {
    "reach": "is the URL right, and may this machine reach it? Cloudflare must, too",
    "origin-ca": "for a private CA give its root as `ca` in `verify`; whether Cloudflare trusts it is another question",
    "origin-ca-roots": "give only self-signed roots in the file of `ca`",
    "tls": "does a TLS server answer there, and in TLS 1.2 or 1.3?",
    "pair": "`mtlsctl validate` looks at the certificate and its key",
    "late": "let the origin ask in the handshake: for its whole virtual host, not for some paths of it alone",
    "in-between": "if something stands between, such as a load balancer, that one must ask for the certificate",
    "log": "the origin's log has the reason, if anything has",
    "signatures": "make a key of another kind: EC P-256 or RSA 2048 are understood everywhere",
    "url": "name a URL that accepted clients get, or another `expect_status`",
    "proxied": "a zone that Cloudflare proxies refuses Workers with an mTLS binding: call the origin by another name",
    "fault": "fix the origin, then prove again",
    "not-requested": "turn on client certificates at the origin: a Worker presents one only when asked for it",
    "backends": "several servers seem to answer there, of which some are set up otherwise",
    "application": "the certificate may be right and not authorised, or this path needs other credentials as well: "
    "name a path that needs the certificate alone",
    "again": "prove again; if it stays so, look at the origin's log",
    "python": "another version of Python may show more",
    "require": "let the origin require certificates, and verify them",
    "unknown_ca": "put the intermediates behind the leaf; if they are there, the origin has to trust their root",
    "certificate_expired": "renew the certificate; is it an intermediate that expired?",
    "unsupported_certificate": "let the CA issue it again for TLS clients, with extendedKeyUsage clientAuth",
}
