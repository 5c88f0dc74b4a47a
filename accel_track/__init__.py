"""One experiment-tracking API for plain loops and for Lightning."""
