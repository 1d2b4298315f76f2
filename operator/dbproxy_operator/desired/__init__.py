"""Builders of everything that a DBProxy owns: facts in, objects out; no clock, no I/O."""
