"""Certificates for tests: a CA of their own, and what it signs."""

from __future__ import annotations

import datetime as dt
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import NameOID

LOOPBACK = "127.0.0.1"
_SHA256 = hashes.SHA256()
Digest = hashes.SHA256 | hashes.SHA384 | hashes.SHA512


@dataclass(frozen=True)
class Authority:
    """A CA and a server certificate of it for `localhost` and 127.0.0.1, as files."""

    directory: Path

    @property
    def ca(self) -> Path:
        return self.directory / "ca.crt"

    @property
    def certificate(self) -> Path:
        return self.directory / "server.crt"

    @property
    def key(self) -> Path:
        return self.directory / "server.key"


def make_authority(
    directory: Path,
    *,
    names: tuple[str, ...] = ("localhost", LOOPBACK),
    alone: bool = False,
    digest: Digest | None = _SHA256,
) -> Authority:
    """A fresh CA with one server certificate for these names; `alone`, it is that one itself.
    It signs by that digest; without one, by Ed25519."""
    now = dt.datetime.now(dt.UTC)
    key = ec.generate_private_key(ec.SECP256R1())
    ca_key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey = (
        ed25519.Ed25519PrivateKey.generate()
        if digest is None
        else ec.generate_private_key(ec.SECP256R1())
    )
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test CA")])
    alternatives: list[x509.GeneralName] = []
    for name in names:
        try:
            alternatives.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            alternatives.append(x509.DNSName(name))

    def builder(
        subject: x509.Name, public: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(ca_name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(days=1))
        )

    ca = (
        builder(ca_name, ca_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .sign(ca_key, digest)
    )
    server = (
        builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])]), key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .sign(ca_key, digest)
    )
    if alone:
        server = ca
    pem = serialization.Encoding.PEM
    authority = Authority(directory)
    authority.ca.write_bytes(ca.public_bytes(pem))
    authority.certificate.write_bytes(server.public_bytes(pem))
    authority.key.write_bytes(
        (ca_key if alone else key).private_bytes(
            pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    authority.key.chmod(0o600)
    return authority
