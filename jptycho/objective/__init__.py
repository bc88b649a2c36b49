"""What a reconstruction minimises."""
