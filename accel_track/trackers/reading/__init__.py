"""The helpers that readers of backends share: files, media, values and tables that somebody else has written."""
