"""Signatures of policy bundles: Ed25519 (RFC 8032) over the manifest's bytes.

The manifest holds the SHA-256 of the graph, so that its signature covers what acts. Keys are PEM
files as ``openssl genpkey -algorithm ed25519`` and ``openssl pkey -pubout`` write them.
"""

from pathlib import Path
from typing import Final

from coolcap_envs.contract.errors import BundleError

SIGNATURE: Final = "manifest.sig"
"""File in a bundle's folder: the 64 bytes of the signature."""


def sign(folder: Path, *, private_key: Path) -> None:
    """Sign the manifest of a bundle, replacing an older signature.

    Raises:
        BundleError: If the key is not an Ed25519 private key, or a file cannot be read.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(private_key.read_bytes(), password=None)
        manifest = (folder / "manifest.json").read_bytes()
    except (OSError, ValueError, TypeError) as error:
        raise BundleError(f"{private_key}: cannot sign {folder} with it: {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise BundleError(
            f"{private_key}: is a {type(key).__name__}, bundles are signed with Ed25519: "
            "openssl genpkey -algorithm ed25519"
        )
    (folder / SIGNATURE).write_bytes(key.sign(manifest))


def verify(folder: Path, manifest: bytes, *, public_key: Path) -> None:
    """Check the signature of a bundle's manifest.

    Raises:
        BundleError: If there is no signature, it is another key's, or the key cannot be read.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(public_key.read_bytes())
    except (OSError, ValueError) as error:
        raise BundleError(f"{public_key}: cannot be read as a public key: {error}") from error
    if not isinstance(key, Ed25519PublicKey):
        raise BundleError(f"{public_key}: is a {type(key).__name__}, an Ed25519 key is needed")
    path = folder / SIGNATURE
    try:
        key.verify(path.read_bytes(), manifest)
    except OSError as error:
        raise BundleError(
            f"{path}: cannot be read: {error.strerror}; only bundles signed by the holder of "
            f"{public_key} are accepted: sign it with `coolcap-train export --sign KEY`"
        ) from error
    except InvalidSignature as error:
        raise BundleError(
            f"{path}: is no signature of this manifest by the holder of {public_key}: the bundle "
            "was changed after it was signed, or signed by somebody else"
        ) from error
