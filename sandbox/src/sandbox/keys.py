"""Private keys that the sandbox keeps: made when first asked for, readable by nobody else, removed with its state."""

import os
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key


def kept_key(file: Path) -> ec.EllipticCurvePrivateKey:
    """Return the key in a file, made and written when there is none."""
    try:
        key = load_pem_private_key(file.read_bytes(), password=None)
    except FileNotFoundError:
        key = ec.generate_private_key(ec.SECP256R1())
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Nobody else may read it, not even between its creation and a chmod.
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as kept:
            kept.write(pem(key))
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{file} holds another kind of key than the sandbox makes")
    return key


def pem(thing: ec.EllipticCurvePrivateKey | x509.Certificate) -> str:
    """Return a key or a certificate as PEM."""
    if isinstance(thing, x509.Certificate):
        return thing.public_bytes(Encoding.PEM).decode()
    return thing.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
