"""Proving that an origin accepts a certificate: what was seen on the wire, and the verdict that follows from it.

Values in, verdicts out; the connections are made elsewhere. What an origin sends is data of a stranger: bounded where
it is read, escaped where it is shown.
"""
