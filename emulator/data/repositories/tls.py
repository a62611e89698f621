"""TLS on the port that speaks HTTP too, for the client that knows https alone: `git-remote-codecommit`.

With the certificate trusted and the endpoint named, it clones and pushes here unmodified:

    export CODE_COMMIT_ENDPOINT=localhost:4566 GIT_SSL_CAINFO=.emulator/tls.pem
    git clone codecommit::us-east-1://chatbot
"""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_LIFE = timedelta(days=365)


def server_context(certificate: Path) -> ssl.SSLContext:
    """Raises ssl.SSLError when the file has no certificate with its key."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    return context


def make_certificate(path: Path, *names: str) -> Path:
    """A self-signed certificate for this machine and other names, and its key, in one file; one that holds is kept."""
    if _holds(path):
        return path
    key = ec.generate_private_key(ec.SECP256R1())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    draft = path.with_suffix(".new")  # whoever is killed while writing leaves the old one, or none
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    draft.write_bytes(_certificate(key, names).public_bytes(serialization.Encoding.PEM) + private)
    draft.replace(path)
    return path


def _holds(path: Path) -> bool:
    """Whether it is a certificate with its key, for a day at least; a file that was cut or overwritten is none."""
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        server_context(path)
    except (FileNotFoundError, ValueError, ssl.SSLError):
        return False
    return certificate.not_valid_after_utc > datetime.now(UTC) + timedelta(days=1)


def _certificate(key: ec.EllipticCurvePrivateKey, names: Sequence[str]) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    addresses = [x509.IPAddress(ipaddress.ip_address(address)) for address in ("127.0.0.1", "::1")]
    hosts = x509.SubjectAlternativeName([*map(x509.DNSName, ("localhost", *names)), *addresses])
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + _LIFE)
        .add_extension(hosts, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
