"""The tracker contract and the built-in trackers, one file each."""
