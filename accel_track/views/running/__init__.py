"""Running runs: how far they are, how fast, and on what."""
