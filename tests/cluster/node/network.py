"""The network namespace in which the whole node lives, so that nothing of it leaks to the host."""

from __future__ import annotations

from . import paths
from .console import Command, run, succeeds

HOST_END = "dbpxhost"
NODE_END = "dbpxnode"


def inside(command: Command) -> Command:
    """The command, entered into the namespace.

    Not by `ip netns exec`: that remounts /sys and hides the cgroups.
    """
    return ["nsenter", f"--net={paths.NETNS_FILE}", "--", *command]


def exists() -> bool:
    return paths.NETNS_FILE.exists()


def make() -> None:
    node = ["ip", "-n", paths.NETNS]
    run(["ip", "netns", "add", paths.NETNS])
    run(["ip", "link", "add", HOST_END, "type", "veth", "peer", NODE_END, "netns", paths.NETNS])
    run(["ip", "address", "add", f"{paths.HOST_ADDRESS}/30", "dev", HOST_END])
    run(["ip", "link", "set", HOST_END, "up"])
    run([*node, "address", "add", f"{paths.NODE_ADDRESS}/30", "dev", NODE_END])
    run([*node, "link", "set", "lo", "up"])
    run([*node, "link", "set", NODE_END, "up"])
    # kube-apiserver and kube-proxy take the node's address from its default route.
    run([*node, "route", "add", "default", "via", paths.HOST_ADDRESS])
    for setting in ("net.ipv4.ip_forward=1", "net.ipv4.conf.all.rp_filter=0"):
        name, value = setting.split("=")
        file = "/proc/sys/" + name.replace(".", "/")
        run(inside(["sh", "-c", f"echo {value} > {file}"]))


def remove() -> None:
    if succeeds(["ip", "link", "show", HOST_END]):
        run(["ip", "link", "delete", HOST_END])
    if exists():
        run(["ip", "netns", "delete", paths.NETNS])
