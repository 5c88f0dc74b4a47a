"""The mirror: a copy of run directories on an object store, written while a run goes on, and read anywhere."""
