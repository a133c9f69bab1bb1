"""The emulator: the parts of Cloudflare's API that certificates and Workers need, over the local store.

For rehearsals by people and pipelines, and for this project's own tests. It maps one request to one reply without
threads, sockets or a clock of its own (`app.py`); only `server.py` knows HTTP. It must not decide anything that mtlsctl
decides, and mtlsctl must not know that it calls an emulator.
"""
