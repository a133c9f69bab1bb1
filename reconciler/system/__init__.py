"""Access to the machine: files, git, the clock. Each part is thin and decides nothing about certificates."""
