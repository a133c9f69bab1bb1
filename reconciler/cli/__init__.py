"""The command line: parse, call the app, print, exit. Decides nothing; imports only typer and stdlib at the top."""

from reconciler.cli.main import main

__all__ = ["main"]
