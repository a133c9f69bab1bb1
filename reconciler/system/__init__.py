"""The edge to the machine: files, git, the clock. Each effect is thin and decides nothing about certificates."""
