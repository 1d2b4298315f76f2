"""Brings the local node up and down; each call starts from whatever the last one left."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

from . import archive, binaries, components, containerd, network, packages, paths, pki, processes
from .console import StepError, note, run, step, succeeds

COREDNS_IMAGE = "localhost/coredns:1"
MANIFEST = Path(__file__).with_name("coredns.yaml")
EVERYTHING = ("containerd", *components.ALL)


def up() -> None:
    packages.install(packages.NODE)
    binaries.build()
    bring_back_apiserver()
    if is_up():
        note(f"the node is running already; KUBECONFIG={paths.KUBECONFIG}")
        return
    clear_away()
    with step("Starting the node"):
        prepare()
        start_control_plane()
        start_node()
    with step("Deploying CoreDNS"):
        manifest = MANIFEST.read_text().replace("{address}", paths.DNS_SERVICE)
        components.kubectl("apply", "-f", "-", stdin=manifest.replace("{image}", COREDNS_IMAGE))
        rollout = ["rollout", "status", "deployment/coredns", "-n", "kube-system"]
        components.kubectl(*rollout, "--timeout=120s")
    note(f"KUBECONFIG={paths.KUBECONFIG}")


def bring_back_apiserver() -> None:
    """Ends the fault that a test broke off in: everything runs but the API server."""
    dead = [name for name in EVERYTHING if processes.running(name) is None]
    if dead == ["kube-apiserver"]:
        start_apiserver()


def is_up() -> bool:
    """All processes run, are of this build, and the API server answers."""
    if any(processes.running(name) is None for name in EVERYTHING):
        return False
    program = Path(f"/proc/{processes.running('kube-apiserver')}/exe").resolve()
    same_build = program.parent == paths.BINARIES.resolve()
    return same_build and components.api_is_ready()


def prepare() -> None:
    for folder in (paths.RUN, paths.ETC, paths.LOGS, paths.KUBELET, paths.ETCD):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for log in paths.LOGS.iterdir():
        log.unlink()
    network.make()
    pki.make()
    containerd.make_cgroups()
    containerd.configure()


def start_control_plane() -> None:
    components.start("etcd")
    components.start("kube-apiserver")
    containerd.start()
    containerd.forget_containers()
    import_own_images()
    components.wait_for("kube-apiserver", "the API server", "get --raw /readyz")
    for name in components.CONTROL_PLANE:
        components.start(name)


def start_node() -> None:
    components.start("kubelet")
    components.start("kube-proxy")
    components.wait_for("kubelet", "the node's registration", f"get node {paths.NODE_NAME}")
    node = f"node/{paths.NODE_NAME}"
    components.kubectl("wait", "--for=condition=Ready", node, "--timeout=90s")


def import_own_images() -> None:
    build = paths.BINARIES.resolve()
    present = containerd.images()
    for name, program in ((containerd.PAUSE_IMAGE, "pause"), (COREDNS_IMAGE, "coredns")):
        of_this_build = f"{name}-{build.name}"
        if not {name, of_this_build} <= present.keys():
            file = paths.CLUSTER / f"{program}.tar"
            archive.write(file, name, build / program)
            containerd.import_archive(file)
            containerd.tag(name, of_this_build)
            file.unlink()


def down() -> None:
    with step("Stopping the node"):
        clear_away()
        paths.KUBECONFIG.unlink(missing_ok=True)


def clear_away() -> None:
    """Ends whatever an earlier run left, however it ended; images stay for the next start."""
    for name in ("kubelet", "kube-proxy", "kube-scheduler", "kube-controller-manager"):
        processes.stop(name, 3)
    containerd.end_pods()
    for name in ("kube-apiserver", "etcd"):
        processes.stop(name, 3)
    if processes.running("containerd") is not None:
        containerd.forget_containers()
    processes.stop("containerd")
    unmount_below(paths.KUBELET)
    unmount_below(paths.CONTAINERD_STATE)
    containerd.remove_cgroups()
    unmount_pod_namespaces()
    network.remove()
    for folder in (paths.RUN, paths.ETCD, paths.KUBELET, paths.PKI, paths.CLUSTER / "pods"):
        if folder.exists():
            shutil.rmtree(folder)


def unmount_below(folder: Path) -> None:
    # As the kernel names them: the cache may be reached by a link.
    folder = folder.resolve()
    mounted = [Path(line.split()[1]) for line in Path("/proc/self/mounts").read_text().splitlines()]
    for point in sorted(mounted, key=lambda path: -len(path.parts)):
        if point.is_relative_to(folder):
            run(["umount", "--lazy", point])


def unmount_pod_namespaces() -> None:
    """The pods' network namespaces: containerd keeps them mounted beside everybody else's."""
    node = ["ip", "-n", paths.NETNS, "-j"]
    # After a reboot the namespace's file is there with nothing behind it.
    if not succeeds([*node, "link"]):
        return
    links = json.loads(run([*node, "link", "show", "type", "veth"]) or "[]")
    peers = {link["link_netnsid"] for link in links if "link_netnsid" in link}
    listed = json.loads(run([*node, "netns", "list-id"]) or "[]")
    for entry in listed:
        if entry.get("nsid") in peers and str(entry.get("name", "")).startswith("cni-"):
            run(["ip", "netns", "delete", entry["name"]])


def stop_apiserver() -> None:
    processes.stop("kube-apiserver", 5)


def start_apiserver() -> None:
    components.start("kube-apiserver")
    components.wait_for("kube-apiserver", "the API server", "get --raw /readyz")


def inside(command: list[str]) -> int:
    if not network.exists():
        raise StepError("the node is down: `make cluster-up` first")
    words = [str(word) for word in network.inside([*command])]
    return subprocess.run(words).returncode


def status() -> None:
    for name in EVERYTHING:
        pid = processes.running(name)
        print(f"{name:24} {f'pid {pid}' if pid else 'not running'}")
