"""What runs it: the agent's loop, and leaving."""
