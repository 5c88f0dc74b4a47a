"""`python -m accel_track`: the command `accel-track`."""

from accel_track.cli import app

app()
