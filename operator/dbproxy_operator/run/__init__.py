"""What runs it all: the queue, the workers, the Lease, health, metrics and settings."""
