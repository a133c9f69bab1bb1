"""What processes and machines share by a PostgreSQL: rate budgets, and the engine of a fleet. Needs the extra `fleet`.

Everything is in a schema of its own, which `schema.py` makes. No error or log shows the address of the database, which
may have a password.
"""
