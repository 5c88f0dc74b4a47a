"""Alerts: rules on what a run logs, the process that watches them, and the services that get them."""
