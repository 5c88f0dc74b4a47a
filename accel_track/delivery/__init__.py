"""Delivery: records reach trackers on the calling thread, or through the journal by a worker for each tracker."""
