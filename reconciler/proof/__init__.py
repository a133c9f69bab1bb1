"""Proof that an origin accepts a certificate: the observed connections, and the verdict that follows from them.

Pure: other rooms make the connections. What an origin sends comes from a stranger: limited when it is read, escaped
when it is shown.
"""
