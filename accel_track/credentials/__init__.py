"""Credentials: their names, and their shapes in a text."""
