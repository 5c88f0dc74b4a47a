"""A run's append-only record log on disk, and what each tracker has had of it."""
