"""From a scan as recorded to the constants and the start of a run."""
