"""The monitors: measurements of a training, of its machine and of its environment."""
