"""The folder `.mtlsctl` beside mtls.toml: made once, ignored by git, closed to others.

Lies below the edges that keep something there (the local store, the lock, the journal), for they may not import each
other. It knows none of them, and not what is kept.
"""
