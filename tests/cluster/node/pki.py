"""Certificates and kubeconfigs of the local node, made anew at each cold start by openssl."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from . import paths
from .console import Command, run

# Who each client is to the API server: common name and group.
CLIENTS = {
    "admin": ("kubernetes-admin", "system:masters"),
    "kube-controller-manager": ("system:kube-controller-manager", ""),
    "kube-scheduler": ("system:kube-scheduler", ""),
    "kube-proxy": ("system:kube-proxy", ""),
    "kubelet": (f"system:node:{paths.NODE_NAME}", "system:nodes"),
}
SERVER = f"https://{paths.NODE_ADDRESS}:6443"
NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "365"]


def make() -> None:
    if paths.PKI.exists():
        shutil.rmtree(paths.PKI)
    paths.PKI.mkdir(parents=True, mode=0o700)
    authority()
    names = ["kubernetes", "kubernetes.default", "kubernetes.default.svc"]
    names += ["kubernetes.default.svc.cluster.local", "localhost"]
    addresses = [paths.API_SERVICE, paths.NODE_ADDRESS, "127.0.0.1"]
    subjects = [f"DNS:{name}" for name in names] + [f"IP:{address}" for address in addresses]
    certificate("kube-apiserver", "/CN=kube-apiserver", "serverAuth", ",".join(subjects))
    for client, (name, group) in CLIENTS.items():
        certificate(client, f"/O={group}/CN={name}" if group else f"/CN={name}", "clientAuth")
        write_kubeconfig(client, paths.PKI / f"{client}.kubeconfig")
    key, public = paths.PKI / "sa.key", paths.PKI / "sa.pub"
    run(["openssl", "genpkey", "-algorithm", "RSA", "-out", key])
    run(["openssl", "pkey", "-in", key, "-pubout", "-out", public])
    write_kubeconfig("admin", paths.KUBECONFIG, embedded=True)


def authority() -> None:
    command: Command = ["openssl", "req", "-x509", *NEW_KEY, "-subj", "/CN=dbproxy-local"]
    command += ["-keyout", paths.PKI / "ca.key", "-out", paths.PKI / "ca.crt"]
    command += ["-addext", "keyUsage=critical,keyCertSign,cRLSign,digitalSignature"]
    run(command)


def certificate(name: str, subject: str, usage: str, alternatives: str = "") -> None:
    command: Command = ["openssl", "req", "-x509", *NEW_KEY, "-subj", subject]
    command += ["-CA", paths.PKI / "ca.crt", "-CAkey", paths.PKI / "ca.key"]
    command += ["-keyout", paths.PKI / f"{name}.key", "-out", paths.PKI / f"{name}.crt"]
    command += ["-addext", f"extendedKeyUsage={usage}"]
    command += ["-addext", "basicConstraints=critical,CA:FALSE"]
    if alternatives:
        command += ["-addext", f"subjectAltName={alternatives}"]
    run(command)


def write_kubeconfig(client: str, path: Path, *, embedded: bool = False) -> None:
    def reference(field: str, file: Path) -> dict[str, str]:
        if not embedded:
            return {field: str(file)}
        encoded = run(["openssl", "base64", "-A", "-in", file])
        return {f"{field}-data": encoded.strip()}

    certificate_of = paths.PKI / f"{client}.crt"
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "dbproxy",
        "contexts": [{"name": "dbproxy", "context": {"cluster": "dbproxy", "user": client}}],
        "clusters": [
            {
                "name": "dbproxy",
                "cluster": {
                    "server": SERVER,
                    **reference("certificate-authority", paths.PKI / "ca.crt"),
                },
            }
        ],
        "users": [
            {
                "name": client,
                "user": {
                    **reference("client-certificate", certificate_of),
                    **reference("client-key", certificate_of.with_suffix(".key")),
                },
            }
        ],
    }
    path.touch(mode=0o600)
    path.write_text(json.dumps(content, indent=2))
