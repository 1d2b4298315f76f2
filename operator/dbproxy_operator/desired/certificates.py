"""The proxy's own CA and its server certificate, for users who bring none.

The CA lives in a Secret that is never mounted: `tls.crt` and `tls.key` sign. At two thirds of its
life a successor is made (`next.crt`, `next.key`) and published to clients; after OVERLAP it signs,
and the old certificate stays published (`previous.crt`) until it expires. The server certificate is
renewed at two thirds of its life, when a name is missing from it, or when another CA signs.

Keys and serial numbers come in as arguments, as does the time.
"""

import base64
import datetime as dt
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from dbproxy_operator.desired.config import decoded
from dbproxy_operator.observe import names
from dbproxy_operator.observe.world import Key, Object

CA_LIFE = dt.timedelta(days=3650)
LEAF_LIFE = dt.timedelta(days=90)
OVERLAP = dt.timedelta(days=90)
BACKDATED = dt.timedelta(minutes=5)


@dataclass(frozen=True)
class Material:
    """Fresh randomness, made by the caller."""

    new_key: Callable[[], ec.EllipticCurvePrivateKey]
    new_serial: Callable[[], int]


@dataclass(frozen=True)
class Pair:
    certificate: str
    key: str


@dataclass(frozen=True)
class Authority:
    signing: Pair
    next: Pair | None
    previous: str | None

    @property
    def bundle(self) -> str:
        parts = [self.signing.certificate, self.next and self.next.certificate, self.previous]
        return "".join(part for part in parts if part)


def authority(secret: Object | None, proxy: str, material: Material, now: dt.datetime) -> Authority:
    """The CA as it should be now: the stored one, or the step that is due after it."""
    stored = decoded(secret) if secret else {}
    signing = _pair(stored, "tls")
    if signing is None or _not_after(signing.certificate) <= now:
        return Authority(_new_authority(proxy, material, now), None, None)
    following = _pair(stored, "next")
    previous = stored.get("previous.crt")
    if previous and (_load(previous) is None or _not_after(previous) <= now):
        previous = None
    if following is None and now >= _renewal(signing.certificate):
        following = _new_authority(proxy, material, now)
    if following is not None and now >= _not_before(following.certificate) + OVERLAP:
        return Authority(following, None, signing.certificate)
    return Authority(signing, following, previous)


def leaf(
    served: Pair | None,
    signer: Pair,
    hosts: Iterable[str],
    material: Material,
    now: dt.datetime,
) -> Pair:
    """The certificate that is served, while it is good; else a new one."""
    wanted = list(hosts)
    if served is not None and _still_good(served, signer, wanted, now):
        return served
    key = material.new_key()
    issuer = x509.load_pem_x509_certificate(signer.certificate.encode())
    issuer_key = _load_key(signer.key)
    if issuer_key is None:
        raise ValueError("the CA's key can't be read")
    ends = min(now + LEAF_LIFE, issuer.not_valid_after_utc)
    certificate = (
        _builder(wanted[0], issuer.subject, key, material, now, ends)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(h) for h in wanted]), False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
        .add_extension(_usage(ca=False), True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), False
        )
        .sign(issuer_key, hashes.SHA256())
    )
    return Pair(_pem(certificate), _key_pem(key))


def leaf_renewal(certificate: str) -> dt.datetime | None:
    return _renewal(certificate) if _load(certificate) else None


def pair_problem(pair: Pair, now: dt.datetime) -> str | None:
    """What is wrong with a certificate that the user brings, in a few words."""
    certificate = _load(pair.certificate)
    if certificate is None:
        return "tls.crt is not a PEM certificate"
    try:
        key = serialization.load_pem_private_key(pair.key.encode(), None)
    except (ValueError, TypeError):
        return "tls.key is not an unencrypted PEM private key"
    if _public(certificate.public_key()) != _public(key.public_key()):
        return "tls.key does not belong to tls.crt"
    if certificate.not_valid_after_utc <= now:
        return f"tls.crt expired at {certificate.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}"
    return None


def ca_secret(key: Key, proxy: Object, ca: Authority) -> Object:
    texts = {"tls.crt": ca.signing.certificate, "tls.key": ca.signing.key}
    if ca.next is not None:
        texts.update({"next.crt": ca.next.certificate, "next.key": ca.next.key})
    if ca.previous is not None:
        texts["previous.crt"] = ca.previous
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": names.child_metadata(key, proxy, names.ca_key_name(key.name)),
        "type": "kubernetes.io/tls",
        "data": {path: _base64(text) for path, text in texts.items()},
    }


def ca_config_map(key: Key, proxy: Object, ca: Authority) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": names.child_metadata(key, proxy, names.ca_name(key.name)),
        "data": {"ca.crt": ca.bundle},
    }


def _new_authority(proxy: str, material: Material, now: dt.datetime) -> Pair:
    key = material.new_key()
    serial = material.new_serial()
    # Two CAs of one proxy need two names, or verifiers pick the wrong one.
    subject = x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, f"{proxy} CA {serial & 0xFFFFFFFF:08x}"[:64])]
    )
    certificate = (
        _builder("", subject, key, material, now, now + CA_LIFE, subject=subject, serial=serial)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .add_extension(_usage(ca=True), True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .sign(key, hashes.SHA256())
    )
    return Pair(_pem(certificate), _key_pem(key))


def _builder(
    common_name: str,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    material: Material,
    now: dt.datetime,
    ends: dt.datetime,
    *,
    subject: x509.Name | None = None,
    serial: int | None = None,
) -> x509.CertificateBuilder:
    if subject is None:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])])
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(serial if serial is not None else material.new_serial())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(ends)
    )


def _usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        key_cert_sign=ca,
        crl_sign=ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _still_good(served: Pair, signer: Pair, hosts: list[str], now: dt.datetime) -> bool:
    certificate = _load(served.certificate)
    issuer = _load(signer.certificate)
    if certificate is None or issuer is None or pair_problem(served, now) is not None:
        return False
    if now >= _renewal(served.certificate):
        return False
    try:
        certificate.verify_directly_issued_by(issuer)
        names_ = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False
    return set(hosts) <= set(names_.value.get_values_for_type(x509.DNSName))


def _pair(stored: dict[str, str], stem: str) -> Pair | None:
    certificate, key = stored.get(f"{stem}.crt"), stored.get(f"{stem}.key")
    if not certificate or not key or _load(certificate) is None or _load_key(key) is None:
        return None
    return Pair(certificate, key)


def _load(text: str) -> x509.Certificate | None:
    try:
        return x509.load_pem_x509_certificate(text.encode())
    except ValueError:
        return None


def _load_key(text: str) -> ec.EllipticCurvePrivateKey | None:
    try:
        key = serialization.load_pem_private_key(text.encode(), None)
    except (ValueError, TypeError):
        return None
    return key if isinstance(key, ec.EllipticCurvePrivateKey) else None


def _not_before(text: str) -> dt.datetime:
    return x509.load_pem_x509_certificate(text.encode()).not_valid_before_utc


def _not_after(text: str) -> dt.datetime:
    return x509.load_pem_x509_certificate(text.encode()).not_valid_after_utc


def _renewal(text: str) -> dt.datetime:
    begins, ends = _not_before(text), _not_after(text)
    return begins + (ends - begins) * 2 / 3


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


def _public(key: object) -> bytes:
    encoded: bytes = key.public_bytes(  # type: ignore[attr-defined]
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return encoded


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
