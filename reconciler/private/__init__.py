"""The folder `.mtlsctl` next to mtls.toml: created once, ignored by git, not accessible to other users.

The edges that keep files there (the local store, the lock, the journal) import this room, because they must not import
each other. It does not know them or their files.
"""
