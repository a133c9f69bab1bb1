"""The emulator: as much of Cloudflare's API as certificates and Workers need, over the embedded store.

A rehearsal stage for people, pipelines, and this project's own tests. One request in, one reply out, without threads,
sockets or a clock of its own (`app.py`); only `server.py` knows HTTP. It must not decide anything that mtlsctl decides,
and mtlsctl must not know that it talks to an emulator.
"""
