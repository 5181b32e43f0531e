"""The sandbox's own certificate authority: whoever knows its one certificate can trust what it signs for the door."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sandbox.keys import kept_key, pem

_CA_LIFETIME = timedelta(days=3650)
_SKEW = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate and its key, both as PEM, as a Secret of type kubernetes.io/tls holds them."""

    chain: str
    key: str


@dataclass(frozen=True, slots=True)
class Authority:
    """Signs for servers; its key never leaves the folder of keys."""

    certificate: Path
    """What callers trust."""
    key: Path

    def issue(self, servers: Sequence[str], lifetime: timedelta) -> Certificate:
        """Return a certificate of a new key for host names and addresses."""
        authority, key = self._certificate(), ec.generate_private_key(ec.SECP256R1())
        alternatives = x509.SubjectAlternativeName([_alternative(name) for name in servers])
        signer = x509.SubjectKeyIdentifier.from_public_key(kept_key(self.key).public_key())
        signed = (
            _builder(servers[0], authority.subject, key, lifetime)
            .add_extension(alternatives, critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(signer), critical=False)
            .sign(kept_key(self.key), hashes.SHA256())
        )
        return Certificate(pem(signed), pem(key))

    def trusted(self) -> str:
        """Return what callers trust, as PEM."""
        return pem(self._certificate())

    def _certificate(self) -> x509.Certificate:
        """Return the authority's own certificate, made when there is none."""
        if not self.certificate.exists():
            key = kept_key(self.key)
            name = _name("Fairlead sandbox")
            made = (
                _builder("Fairlead sandbox", name, key, _CA_LIFETIME)
                .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
                .add_extension(_usage(signs_certificates=True), critical=True)
                .sign(key, hashes.SHA256())
            )
            self.certificate.write_text(pem(made))
        return x509.load_pem_x509_certificate(self.certificate.read_bytes())


def remaining(chain: str) -> timedelta:
    """Return for how long a certificate is still valid."""
    return x509.load_pem_x509_certificate(chain.encode()).not_valid_after_utc - datetime.now(UTC)


def names(chain: str) -> list[str]:
    """Return the host names and addresses that a certificate is for."""
    extensions = x509.load_pem_x509_certificate(chain.encode()).extensions
    return [str(each.value) for each in extensions.get_extension_for_class(x509.SubjectAlternativeName).value]


def _builder(
    subject: str, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, lifetime: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
