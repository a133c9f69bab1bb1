"""What `mtlsctl fleet` does: many stacks in many accounts, looked at on a schedule.

`opened.py` finds the stacks and their connections, `look.py` looks at one account, `act.py` acts on one stack,
`proposals.py` makes pull requests of changed files, `run.py` is one pass over all, `record.py` remembers.
"""
