"""The example's manifests, and the demo that applies them (`make demo`)."""
