"""Delivery by a companion process: the process as its parent sees it, what the two tell each other, and the process."""
