"""Credentials: what they are called, and what they look like in a text."""
