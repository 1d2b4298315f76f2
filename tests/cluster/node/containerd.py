"""The node's own containerd: its configuration, image imports, and what containers leave behind."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

from . import network, paths, processes
from .console import Command, note, run, succeeds, wait_until

PAUSE_IMAGE = "localhost/pause:1"
CONFIGURATION = """\
version = 2
root = "{root}"
state = "{state}"
oom_score = 0
[grpc]
  address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  # Sandboxes without CAP_SYS_RESOURCE may not lower the score, and runc dies of it.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{cni}"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "{snapshotter}"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
"""
# Each pod on a link of its own, so everything is routed and Service rules see all of it; a bridge
# would need br_netfilter in the kernel for that.
CNI = {
    "cniVersion": "0.4.0",
    "name": "dbproxy",
    "plugins": [
        {
            "type": "ptp",
            "ipMasq": True,
            "ipam": {
                "type": "host-local",
                "dataDir": str(paths.RUN / "cni"),
                "ranges": [[{"subnet": paths.POD_RANGE}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        }
    ],
}


def configure() -> None:
    cni = paths.ETC / "cni"
    cni.mkdir(parents=True, exist_ok=True)
    (cni / "10-dbproxy.conflist").write_text(json.dumps(CNI, indent=2))
    paths.CONTAINERD_ROOT.mkdir(parents=True, exist_ok=True)
    content = CONFIGURATION.format(
        root=paths.CONTAINERD_ROOT,
        state=paths.CONTAINERD_STATE,
        socket=paths.CONTAINERD_SOCKET,
        pause=PAUSE_IMAGE,
        cni=cni,
        snapshotter=snapshotter(),
    )
    (paths.ETC / "containerd.toml").write_text(content)


def snapshotter() -> str:
    """An overlay can't be mounted on an overlay, which is what a container's root is."""
    kind = run(["stat", "-f", "-c", "%T", paths.CONTAINERD_ROOT]).strip()
    return "native" if kind.startswith("overlay") else "overlayfs"


def start() -> None:
    command: Command = ["containerd", "--config", paths.ETC / "containerd.toml"]
    processes.start("containerd", network.inside(command))
    wait_until("containerd", lambda: succeeds(ctr("version")), 30)
    note(run(["containerd", "--version"]).strip() + f", {snapshotter()} snapshots")


def ctr(*words: str | Path) -> Command:
    return ["ctr", "--address", paths.CONTAINERD_SOCKET, "--namespace", "k8s.io", *words]


def images() -> dict[str, str]:
    """Name and digest of each image that the node has."""
    lines = run(ctr("images", "list")).splitlines()[1:]
    return {line.split()[0]: line.split()[2] for line in lines if line.strip()}


def import_archive(archive: Path) -> None:
    run(ctr("images", "import", "--snapshotter", snapshotter(), archive))


def tag(existing: str, name: str) -> None:
    run(ctr("images", "tag", "--force", existing, name))


def remove_image(name: str) -> None:
    run(ctr("images", "remove", name))


def forget_containers() -> None:
    """Removes every container's record and snapshot; their processes are gone by now."""
    for task in run(ctr("tasks", "list", "--quiet")).split():
        run(ctr("tasks", "delete", "--force", task))
    for container in run(ctr("containers", "list", "--quiet")).split():
        run(ctr("containers", "delete", container))


def end_pods() -> None:
    """Ends every process in the pods' cgroup, and the shims that serve this containerd's socket."""
    inhabitants: set[int] = set()
    for hierarchy in cgroups():
        for listing in hierarchy.rglob("cgroup.procs"):
            inhabitants.update(int(pid) for pid in listing.read_text().split())
    processes.end(inhabitants, signal.SIGKILL, 10)
    processes.end(shims(), signal.SIGKILL, 10)


def shims() -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            words = command_line(entry)
            ours = str(paths.CONTAINERD_SOCKET) in words
            if ours and words[0].endswith("containerd-shim-runc-v2"):
                found.append(int(entry.name))
    return found


def command_line(process: Path) -> list[str]:
    try:
        return (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return []


def hierarchies() -> list[Path]:
    """Every mounted cgroup tree, of version 1 or 2."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    return [Path(fields[1]) for fields in mounts if fields[2] in ("cgroup", "cgroup2")]


def cgroups() -> list[Path]:
    found = [tree / paths.CGROUP for tree in hierarchies()]
    return [path for path in found if path.is_dir()]


def make_cgroups() -> None:
    for tree in hierarchies():
        folder = tree / paths.CGROUP
        folder.mkdir(exist_ok=True)
        # A new cpuset of version 1 may use nothing, so nothing could run in it.
        for name in ("cpuset.cpus", "cpuset.mems"):
            inherited = tree / name
            if inherited.exists() and not (folder / name).read_text().strip():
                (folder / name).write_text(inherited.read_text())


def remove_cgroups() -> None:
    for folder in cgroups():
        for path in sorted(folder.rglob("*"), key=lambda path: -len(path.parts)):
            if path.is_dir():
                os.rmdir(path)
        os.rmdir(folder)
