"""The text about verdicts: why an origin may refuse, and what to do."""

from __future__ import annotations

REJECTIONS = {
    "bad_certificate": "the origin calls this certificate bad, as some servers do for every error",
    "unsupported_certificate": "the origin rejects this certificate as not intended for TLS clients",
    "certificate_revoked": "the origin rejects this certificate as revoked",
    "certificate_expired": "the origin rejects this certificate as expired",
    "certificate_unknown": "the origin rejects this certificate without a reason",
    "unknown_ca": "the origin does not know the CA of this certificate, or an intermediate is missing",
    "access_denied": "the origin knows this certificate and denies it access",
    "decode_error": "the origin can't read this certificate",
}

HINTS = {
    "reach": "check the URL, and that this machine can reach it; Cloudflare must be able to reach it, too",
    "address": "correct the URL of `verify`; to call this address all the same, set MTLSCTL_VERIFY_PRIVATE=1",
    "origin-ca": "for a private CA, set `ca` in `verify` to its root; that does not show whether Cloudflare trusts it",
    "origin-ca-roots": "put only self-signed roots into the file of `ca`",
    "edge-ca": "give the origin a certificate of a public CA; `ca` in `verify` does not count at Cloudflare",
    "edge-reach": "let the origin's firewall and allow-lists accept Cloudflare's addresses (www.cloudflare.com/ips)",
    "edge-520": "check the origin's log: it may have refused the certificate; use a name that is not proxied",
    "tls": "check that a server with TLS 1.2 or 1.3 answers there",
    "pair": "run `mtlsctl validate` to check the certificate and its key",
    "late": "make the origin request the certificate in the handshake: for the whole virtual host, not for some paths",
    "in-between": "if there is something in between, such as a load balancer, make it request the certificate",
    "log": "check the origin's log for the reason",
    "signatures": "use a key of another type; EC P-256 and RSA 2048 work everywhere",
    "url": "use a URL that accepted clients can get, or another `expect_status`",
    "proxied": "call the origin by a name that is not proxied; zones behind Cloudflare's proxy refuse Workers with an "
    "mTLS binding",
    "fault": "fix the origin, then verify again",
    "not-requested": "turn on client certificates at the origin; a Worker sends one only if the origin requests it",
    "backends": "check the configuration of all servers behind this name; some seem to differ",
    "application": "use a path that needs only the certificate; the certificate may be valid but not authorized, or "
    "this path may need other credentials, too",
    "again": "verify again; if it persists, check the origin's log",
    "python": "try another version of Python, which may be able to observe it",
    "require": "configure the origin to require and verify client certificates",
    "unknown_ca": "add the missing intermediates after the leaf; if none is missing, make the origin trust their root",
    "certificate_expired": "renew the certificate, or an intermediate that has expired",
    "unsupported_certificate": "have the certificate reissued for TLS clients, with extendedKeyUsage clientAuth",
}
