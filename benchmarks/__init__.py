"""What logging costs: accel_track, its peers and the raw SDKs, side by side in one run (`python -m benchmarks`)."""
