"""The agent of a proxy pod: it decides who serves what; the Rust engine moves the bytes."""

__version__ = "0.1.0"
