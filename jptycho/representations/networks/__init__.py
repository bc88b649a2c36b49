"""Untrained networks of Flax, what they see, and their pre-training."""
