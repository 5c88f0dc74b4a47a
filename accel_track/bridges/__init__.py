"""Bridges to other libraries: their loggers as trackers, and trackers in their places."""
