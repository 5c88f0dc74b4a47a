"""Runs that are opened in a page of a backend, also one that they never had."""
