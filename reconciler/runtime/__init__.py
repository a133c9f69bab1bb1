"""Runs wrangler and workerd, which build and run Workers, on this machine; a child never outlives its run.

Neither gets the environment of this process, which may contain keys and tokens. Other rooms decide what they run.
"""
