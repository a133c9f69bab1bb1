"""The forges of `mtlsctl ci`, one file each: their API over HTTP, as `Forge` of `model/forges.py`.

The token goes only to the API that the runner names, over TLS, and into no error and no log.
"""
