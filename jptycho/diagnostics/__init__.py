"""Is it right? Arrays in, arrays out."""
