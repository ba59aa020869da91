"""The lab's certificate authority, in place of ACM's and RDS's.

`create` makes `ca.pem` and `ca.key` in a folder; `ca.pem` is what SSL_CERT_FILE and PGSSLROOTCERT
name. Certificates are issued for DNS names into `issued/` below it.
"""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CERTIFICATE = "ca.pem"
_KEY = "ca.key"
_LIFETIME = timedelta(days=30)
_BACKDATED = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A certificate with its chain, and its key, both PEM."""

    certificate: Path
    key: Path

    def server_context(self) -> ssl.SSLContext:
        """Return a context that serves with it."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context


def create(folder: Path) -> Authority:
    """Return the authority in `folder`, making it when there is none yet."""
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    if not (folder / CERTIFICATE).exists():
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Standby lab authority")])
        certificate = (
            _builder(name, name, key.public_key(), key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        _write_key(folder / _KEY, key)
        (folder / CERTIFICATE).write_bytes(_pem(certificate))
    return Authority(folder)


class Authority:
    """An authority that `create` made; it may be opened by several processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.certificate = folder / CERTIFICATE
        self._certificate = x509.load_pem_x509_certificate(self.certificate.read_bytes())
        key = serialization.load_pem_private_key((folder / _KEY).read_bytes(), password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            msg = f"{folder / _KEY} holds no elliptic curve key; remove {folder}"
            raise TypeError(msg)
        self._key = key

    def issue(self, names: Iterable[str]) -> Issued:
        """Return a certificate for exactly `names`; the same one for the same names."""
        wanted = sorted(set(names))
        digest = hashlib.sha256("\n".join(wanted).encode()).hexdigest()[:16]
        place = self.folder / "issued" / digest
        issued = Issued(certificate=place / "certificate.pem", key=place / "key.pem")
        if not issued.certificate.exists():
            place.mkdir(parents=True, exist_ok=True)
            self._sign(wanted, issued)
        return issued

    def _sign(self, names: list[str], issued: Issued) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        # A common name holds 64 characters, RDS endpoints more; the names are in the extension.
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
        certificate = (
            _builder(subject, self._certificate.subject, key.public_key(), self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(
                x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False
            )
            .sign(self._key, hashes.SHA256())
        )
        _write_key(issued.key, key)
        issued.certificate.write_bytes(_pem(certificate) + _pem(self._certificate))


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    issuer_key: ec.EllipticCurvePublicKey,
) -> x509.CertificateBuilder:
    """Return the fields that all certificates have; with the key identifiers that OpenSSL wants."""
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + _LIFETIME)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False
        )
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    path.touch(mode=0o600)
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
