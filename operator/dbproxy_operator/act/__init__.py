"""What is done about it: creates and deletes are planned, then everything is applied."""
