"""Calls to the HTTP APIs of servers other than Cloudflare's, for the edges that use them.

Below those edges; it knows addresses and answers, and none of the APIs.
"""
