"""From a scan to a result: the stages of a run, what each hands on, and what is kept."""
