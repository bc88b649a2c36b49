"""One file a format, and the door that chooses among them."""
