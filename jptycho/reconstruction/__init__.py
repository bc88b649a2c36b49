"""From a scan to a result: what is chosen, the stages of a run, and what is kept."""
