"""Importers: runs of other libraries, read from what these left on disk or on a server, as journals."""
