"""The operator with many proxies on a real API server: its memory, speed and load.

The API server and its etcd are real, and alone: no kubelet, no controllers. What those and the
proxies' pods would write, `player` writes.
"""
