"""The operator with many proxies: its memory, speed and load, on a real API server and on one that
keeps all in memory, beside which the operator is most of what is measured.

Either is alone: no kubelet, no controllers. What those and the proxies' pods would write, `player`
writes.
"""
