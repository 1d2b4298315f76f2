"""For whom a certificate is: host names and IP addresses, as its subjectAltName has them.

A host is text in one form: names as they are, addresses in their shortest. `certificates` writes
and reads them, `decide.certificate` says which there are to be.
"""

import ipaddress
from collections.abc import Iterable

from cryptography import x509


def normal(host: str) -> str:
    """The one form of a host."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return host


def alternative_names(hosts: Iterable[str]) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([_general_name(host) for host in hosts])


def hosts_of(certificate: x509.Certificate) -> list[str]:
    """In the order in which the certificate has them, names before addresses."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound):
        return []
    addresses = found.get_values_for_type(x509.IPAddress)
    return [*found.get_values_for_type(x509.DNSName), *(str(address) for address in addresses)]


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
