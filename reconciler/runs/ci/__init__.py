"""What `mtlsctl ci` does: run a command as it is, then publish its report where a reviewer sees it.

`settings.py` has the inputs, `run.py` the commands, `pipeline.py` what each forge provides; `comment.py` and
`issues.py` work on any forge, `github.py` knows the runner of one.
"""
