"""TLS on the port that speaks HTTP too, for the client that knows https alone: `git-remote-codecommit`.

With the certificate trusted and the endpoint named, it clones and pushes here unmodified:

    export CODE_COMMIT_ENDPOINT=localhost:4566 GIT_SSL_CAINFO=.emulator/tls.pem
    git clone codecommit::us-east-1://chatbot
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cheroot.makefile import MakeFile
from cheroot.server import HTTPConnection
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_HANDSHAKE = b"\x16"  # the first byte of a TLS client, and of no HTTP request (RFC 8446, 5.1)
_LIFE = timedelta(days=365)


def tls_connection(certificate: Path) -> type[HTTPConnection]:
    """A `ConnectionClass` for a cheroot server: each client is answered in TLS if it begins so, else in plain HTTP."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)

    class Connection(HTTPConnection):
        """Looks at the first byte in the thread of the request: one slow client does not keep the others waiting."""

        looked = False

        def communicate(self) -> bool:
            try:
                self._look()
            except (ssl.SSLError, OSError):
                return False  # a client that does not trust the certificate hangs up
            return bool(super().communicate())  # type: ignore[no-untyped-call]

        def _look(self) -> None:
            if self.looked:
                return
            self.looked = True
            if self.socket.recv(1, socket.MSG_PEEK) == _HANDSHAKE:
                self.socket = context.wrap_socket(self.socket, server_side=True)
                self.rfile = MakeFile(self.socket, "rb", self.rbufsize)
                self.wfile = MakeFile(self.socket, "wb", self.wbufsize)

    return Connection


def make_certificate(path: Path) -> Path:
    """A self-signed certificate for this machine and its key, in one file; one that is there and holds is kept."""
    if path.exists():
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        if certificate.not_valid_after_utc > datetime.now(UTC) + timedelta(days=1):
            return path
    key = ec.generate_private_key(ec.SECP256R1())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.touch(mode=0o600)
    path.write_bytes(_certificate(key).public_bytes(serialization.Encoding.PEM) + private)
    return path


def _certificate(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    addresses = [x509.IPAddress(ipaddress.ip_address(address)) for address in ("127.0.0.1", "::1")]
    hosts = x509.SubjectAlternativeName([x509.DNSName("localhost"), *addresses])
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + _LIFE)
        .add_extension(hosts, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
