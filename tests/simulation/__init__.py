"""The deterministic simulation: whole runs over a world in memory, with a fault at any effect, judged from outside."""
