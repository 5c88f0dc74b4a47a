"""Monitors: what is measured beside a training, of the training itself and of the machine."""
