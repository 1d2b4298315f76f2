"""What the databases are asked: health, role, log-ins; and what is known of each from it."""
