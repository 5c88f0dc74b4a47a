"""The list of runs: what `accel-track ls` shows of each, and which ones."""
