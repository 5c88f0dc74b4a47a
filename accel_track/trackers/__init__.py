"""The tracker contract and the nine built-in trackers, one file each."""
