"""A real Kubernetes on this machine for the demo and the end-to-end tests.

Where a Docker daemon answers and kind is there, kind makes it; elsewhere one node is started from
the binary that the Go module beside this package builds. `__main__` is the command line, called by
the Makefile, the demo and the tests. Only the standard library is used: this runs before any
virtual environment exists.
"""
