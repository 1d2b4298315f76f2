"""What a pod tells: its entry in status, metrics, health, log."""
