"""Runs what Workers are made and run with, wrangler and workerd, on this machine; a child never outlives its run.

Neither gets this process's environment, which may hold keys and tokens. What it is run for is said elsewhere.
"""
