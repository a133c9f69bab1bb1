"""Calls to the HTTP APIs of servers other than Cloudflare's, for the edges that use them.

Below those edges: `http` makes calls and knows no API; `vault` is here because keys, issuers and sinks use it.
"""
