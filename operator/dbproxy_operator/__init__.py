"""The operator: turns the three custom resources into proxy pods, Services and status."""
