"""What is done about it: planned first (what is created, what is not ours), then applied."""
