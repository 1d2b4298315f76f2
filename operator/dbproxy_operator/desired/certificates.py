"""The proxy's own CA and its server certificate, for users who bring none.

The CA lives in a Secret that is never mounted: `tls.crt` and `tls.key` sign. At two thirds of its
life a successor is made (`next.crt`, `next.key`) and published to clients; after OVERLAP it signs,
and the old certificate stays published (`previous.crt`) until it expires. The server certificate is
renewed at two thirds of its life.

When a host is missing from it, it is issued again at once, for as long as it was: with the hosts
that are gone as well, so that one that goes to and fro costs nothing more. They are left out at its
renewal, whose time that doesn't move.

A CA whose key was lost has a successor at once, and what it signed is served on: clients trust the
lost one, and its certificate is still published. Only after HANDOVER, by when they have fetched the
successor too, does that one sign, unless the certificate that is served expires before.

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

from dbproxy_operator.desired import subjects
from dbproxy_operator.desired.config import decoded
from dbproxy_operator.observe import names
from dbproxy_operator.observe.world import Key, Object

CA_LIFE = dt.timedelta(days=3650)
LEAF_LIFE = dt.timedelta(days=90)
OVERLAP = dt.timedelta(days=90)
HANDOVER = dt.timedelta(days=7)
LAST_MOMENT = dt.timedelta(days=1)
WARNING = dt.timedelta(days=14)
BACKDATED = dt.timedelta(minutes=5)
MOST_GONE = 32
_MOMENT = "%Y-%m-%dT%H:%M:%SZ"


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
class Validity:
    begins: dt.datetime
    ends: dt.datetime


@dataclass(frozen=True)
class Authority:
    signing: Pair
    next: Pair | None
    previous: str | None

    @property
    def bundle(self) -> str:
        parts = [self.signing.certificate, self.next and self.next.certificate, self.previous]
        return "".join(part for part in parts if part)


def authority(
    secret: Object | None,
    published: Object | None,
    served: Pair | None,
    proxy: str,
    material: Material,
    now: dt.datetime,
) -> Authority:
    """The CA as it should be now: the stored one, or the step that is due after it.

    `published` is the ConfigMap that clients read; if the Secret is lost, it still has the
    certificate of the CA that signed what is `served`.
    """
    stored = decoded(secret) if secret else {}
    signing = _pair(stored, "tls")
    if signing is None or _not_after(signing.certificate) <= now:
        known = ((published or {}).get("data") or {}).get("ca.crt", "")
        issuer = _issuer(served, known) if served else None
        lost = _pem(issuer) if issuer and issuer.not_valid_after_utc > now else None
        return Authority(_new_authority(proxy, material, now), None, lost)
    following = _pair(stored, "next")
    previous = stored.get("previous.crt")
    if previous and (_load(previous) is None or _not_after(previous) <= now):
        previous = None
    if following is None and now >= _renewal(signing.certificate):
        following = _new_authority(proxy, material, now)
    if following is not None and now >= _not_before(following.certificate) + OVERLAP:
        return Authority(following, None, signing.certificate)
    return Authority(signing, following, previous)


def is_own(pair: Pair, secret: Object | None) -> bool:
    """Whether the CA in that Secret signed it."""
    stored = decoded(secret) if secret else {}
    known = "".join(text for key, text in stored.items() if key.endswith(".crt"))
    return _issuer(pair, known) is not None


def leaf(
    served: Pair | None,
    ca: Authority,
    hosts: Iterable[str],
    material: Material,
    now: dt.datetime,
) -> Pair:
    """The certificate that is served, while it is good; else a new one."""
    wanted = list(hosts)
    if served is not None and pair_problem(served, now) is None and now < due(served, ca, wanted):
        return served
    issuer = x509.load_pem_x509_certificate(ca.signing.certificate.encode())
    former = _still_good(served, ca, now) if served is not None else None
    if former is not None:
        validity = Validity(former.not_valid_before_utc, former.not_valid_after_utc)
        wanted += [host for host in subjects.hosts_of(former) if host not in wanted][:MOST_GONE]
    else:
        validity = Validity(now - BACKDATED, min(now + LEAF_LIFE, issuer.not_valid_after_utc))
    return _issued(ca, issuer, wanted, validity, material)


def _still_good(served: Pair, ca: Authority, now: dt.datetime) -> x509.Certificate | None:
    """The certificate that is served, if all that it can lack is a host."""
    certificate, issuer = _load(served.certificate), _issuer(served, ca.signing.certificate)
    good = pair_problem(served, now) is None and issuer is not None
    return certificate if good and now < _renewal(served.certificate) else None


def _issued(
    ca: Authority,
    issuer: x509.Certificate,
    hosts: list[str],
    validity: Validity,
    material: Material,
) -> Pair:
    key = material.new_key()
    issuer_key = _load_key(ca.signing.key)
    if issuer_key is None:
        raise ValueError("the CA's key can't be read")
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0][:64])])
    certificate = (
        _builder(subject, issuer.subject, key, validity, material.new_serial())
        .add_extension(subjects.alternative_names(hosts), False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
        .add_extension(_usage(ca=False), True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), False
        )
        .sign(issuer_key, hashes.SHA256())
    )
    return Pair(_pem(certificate), _key_pem(key))


def due(served: Pair, ca: Authority, hosts: Iterable[str]) -> dt.datetime:
    """When the certificate that is served must be replaced; long ago if clients can't verify it."""
    certificate = _load(served.certificate)
    issuer = _issuer(served, ca.bundle)
    if certificate is None or issuer is None:
        return dt.datetime.min.replace(tzinfo=dt.UTC)
    complete = set(hosts) <= set(subjects.hosts_of(certificate))
    moment = _renewal(served.certificate) if complete else certificate.not_valid_before_utc
    if _pem(issuer) == ca.signing.certificate:
        return moment
    handed_over = max(moment, _not_before(ca.signing.certificate) + HANDOVER)
    return min(handed_over, certificate.not_valid_after_utc - LAST_MOMENT)


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
        return f"tls.crt expired at {certificate.not_valid_after_utc:{_MOMENT}}"
    if certificate.not_valid_before_utc > now:
        return f"tls.crt is not valid before {certificate.not_valid_before_utc:{_MOMENT}}"
    return None


def moments(certificate: str) -> tuple[dt.datetime, ...]:
    """When something changes with it: it becomes valid, is worth a warning, expires."""
    if _load(certificate) is None:
        return ()
    begins, ends = _not_before(certificate), _not_after(certificate)
    # One that lives for a day is renewed within hours: a warning two weeks ahead would not end.
    return begins, ends - min(WARNING, (ends - begins) / 6), ends


def expiry_warning(certificate: str, now: dt.datetime) -> str | None:
    """What to tell of a certificate that will expire soon, or has."""
    found = moments(certificate)
    if not found or now < found[1]:
        return None
    return f"{'expired' if found[2] <= now else 'expires'} at {found[2]:{_MOMENT}}"


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
        _builder(subject, subject, key, Validity(now - BACKDATED, now + CA_LIFE), serial)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .add_extension(_usage(ca=True), True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .sign(key, hashes.SHA256())
    )
    return Pair(_pem(certificate), _key_pem(key))


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    validity: Validity,
    serial: int,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(validity.begins)
        .not_valid_after(validity.ends)
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


def _issuer(pair: Pair, known: str) -> x509.Certificate | None:
    """Which of the known CAs signed it."""
    certificate = _load(pair.certificate)
    if certificate is None:
        return None
    for authority_ in _loaded(known):
        try:
            certificate.verify_directly_issued_by(authority_)
        except (ValueError, TypeError, InvalidSignature):
            continue
        return authority_
    return None


def _pair(stored: dict[str, str], stem: str) -> Pair | None:
    """A CA that can sign: both can be read, and belong together."""
    certificate, key = stored.get(f"{stem}.crt"), stored.get(f"{stem}.key")
    if not certificate or not key:
        return None
    loaded, signer = _load(certificate), _load_key(key)
    if loaded is None or signer is None:
        return None
    fits = _public(loaded.public_key()) == _public(signer.public_key())
    return Pair(certificate, key) if fits else None


def _load(text: str) -> x509.Certificate | None:
    try:
        return x509.load_pem_x509_certificate(text.encode())
    except ValueError:
        return None


def _loaded(text: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(text.encode())
    except ValueError:
        return []


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
