"""How each Kubernetes component of the node is started: its command line and its settings file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from . import binaries, network, paths, processes
from .console import Command, StepError, run, succeeds, wait_until

ETCD_URL = "http://127.0.0.1:2379"
CONTROL_PLANE = ("kube-controller-manager", "kube-scheduler")
ALL = ("etcd", "kube-apiserver", *CONTROL_PLANE, "kubelet", "kube-proxy")
# kubelet tells these where the pods' cgroup is rooted; all pods live below it.
EVICTION = {"memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%"}


def command(name: str) -> Command:
    makers = {
        "etcd": etcd,
        "kube-apiserver": apiserver,
        "kube-controller-manager": controller_manager,
        "kube-scheduler": scheduler,
        "kubelet": kubelet,
        "kube-proxy": kube_proxy,
    }
    program = paths.BINARIES / name
    return network.inside([program, *makers[name]()])


def start(name: str) -> None:
    processes.start(name, command(name))


def etcd() -> list[str]:
    return [
        f"--data-dir={paths.ETCD}",
        f"--listen-client-urls={ETCD_URL}",
        f"--advertise-client-urls={ETCD_URL}",
        "--listen-peer-urls=http://127.0.0.1:2380",
        "--log-level=warn",
        # What a power cut loses here is made anew anyway.
        "--unsafe-no-fsync",
    ]


def apiserver() -> list[str]:
    pki = paths.PKI
    return [
        f"--etcd-servers={ETCD_URL}",
        f"--advertise-address={paths.NODE_ADDRESS}",
        "--secure-port=6443",
        f"--service-cluster-ip-range={paths.SERVICE_RANGE}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        f"--client-ca-file={pki}/ca.crt",
        f"--tls-cert-file={pki}/kube-apiserver.crt",
        f"--tls-private-key-file={pki}/kube-apiserver.key",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-signing-key-file={pki}/sa.key",
        f"--service-account-key-file={pki}/sa.pub",
        # Without these two, exec, logs and port-forward don't reach the kubelet.
        "--kubelet-preferred-address-types=InternalIP",
        f"--kubelet-client-certificate={pki}/admin.crt",
        f"--kubelet-client-key={pki}/admin.key",
    ]


def controller_manager() -> list[str]:
    pki = paths.PKI
    return [
        f"--kubeconfig={pki}/kube-controller-manager.kubeconfig",
        f"--root-ca-file={pki}/ca.crt",
        f"--service-account-private-key-file={pki}/sa.key",
        "--use-service-account-credentials",
        # Without a lease to lose, it outlives the API server's absence, which tests bring about;
        # nor shall the node count as lost because of it.
        "--leader-elect=false",
        "--node-monitor-grace-period=10m",
    ]


def scheduler() -> list[str]:
    return [f"--kubeconfig={paths.PKI}/kube-scheduler.kubeconfig", "--leader-elect=false"]


def kubelet() -> list[str]:
    settings = {
        "kind": "KubeletConfiguration",
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{paths.PKI}/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "containerRuntimeEndpoint": f"unix://{paths.CONTAINERD_SOCKET}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{paths.CGROUP}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "clusterDNS": [paths.DNS_SERVICE],
        "clusterDomain": "cluster.local",
        "resolvConf": "/dev/null",
        "evictionHard": EVICTION,
        "imageGCHighThresholdPercent": 100,
        "podLogsDir": str(paths.CLUSTER / "pods"),
        "nodeStatusReportFrequency": "1m0s",
        "serializeImagePulls": True,
    }
    return [
        f"--config={write('kubelet', settings)}",
        f"--kubeconfig={paths.PKI}/kubelet.kubeconfig",
        f"--root-dir={paths.KUBELET}",
        f"--cert-dir={paths.KUBELET}/pki",
        f"--hostname-override={paths.NODE_NAME}",
        f"--node-ip={paths.NODE_ADDRESS}",
    ]


def kube_proxy() -> list[str]:
    settings = {
        "kind": "KubeProxyConfiguration",
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "clientConnection": {"kubeconfig": f"{paths.PKI}/kube-proxy.kubeconfig"},
        "clusterCIDR": paths.POD_RANGE,
        "mode": "iptables",
        "conntrack": {"maxPerCore": 0},
        "hostnameOverride": paths.NODE_NAME,
        # The default of one second is what a flip of endpoints would wait for.
        "iptables": {"minSyncPeriod": "100ms"},
    }
    return [f"--config={write('kube-proxy', settings)}"]


def write(name: str, settings: dict[str, Any]) -> Path:
    paths.ETC.mkdir(parents=True, exist_ok=True)
    path = paths.ETC / f"{name}.json"
    path.write_text(json.dumps(settings, indent=2))
    return path


def kubectl(*words: str | Path, stdin: str | None = None) -> str:
    return run(kubectl_command(*words), stdin=stdin)


def kubectl_command(*words: str | Path) -> Command:
    return [binaries.find("kubectl"), "--kubeconfig", paths.KUBECONFIG, *words]


def api_is_ready() -> bool:
    return succeeds(kubectl_command("get", "--raw", "/readyz", "--request-timeout=3s"))


def wait_for(name: str, what: str, ready: str, seconds: float = 60) -> None:
    """Waits until kubectl answers a raw path, and shows the component's log if it never does."""

    def met() -> bool:
        if processes.running(name) is None:
            raise StepError(f"{name} ended; {processes.last_words(name)}")
        return succeeds(kubectl_command(*ready.split()))

    try:
        wait_until(what, met, seconds)
    except StepError as error:
        raise StepError(f"{error}\n{processes.last_words(name)}") from error
