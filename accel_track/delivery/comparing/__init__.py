"""The comparison of a run's journal with what a backend has of it; see `accel_track.delivery.receipt`."""
