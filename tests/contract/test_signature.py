"""A controller that is given a key takes no bundle that its holder did not sign."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from coolcap_envs.contract.errors import BundleError
from coolcap_envs.contract.policy import PolicyBundle
from coolcap_envs.contract.signature import SIGNATURE, sign
from support.signing_keys import write_keys
from support.tiny_bundle import write_tiny_bundle


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    write_tiny_bundle(folder)
    return folder


def test_a_signed_bundle_is_accepted(bundle: Path, tmp_path: Path) -> None:
    private, public = write_keys(tmp_path, "ours")
    sign(bundle, private_key=private)

    assert PolicyBundle.load(bundle, public_key=public).name == "tiny"


def test_an_unsigned_bundle_is_refused_with_what_to_do(bundle: Path, tmp_path: Path) -> None:
    _, public = write_keys(tmp_path, "ours")

    with pytest.raises(BundleError, match="coolcap-train export --sign KEY"):
        PolicyBundle.load(bundle, public_key=public)


def test_a_bundle_signed_by_somebody_else_is_refused(bundle: Path, tmp_path: Path) -> None:
    theirs, _ = write_keys(tmp_path, "theirs")
    _, public = write_keys(tmp_path, "ours")
    sign(bundle, private_key=theirs)

    with pytest.raises(BundleError, match="signed by somebody else"):
        PolicyBundle.load(bundle, public_key=public)


def test_a_manifest_changed_after_signing_is_refused(bundle: Path, tmp_path: Path) -> None:
    private, public = write_keys(tmp_path, "ours")
    sign(bundle, private_key=private)
    path = bundle / "manifest.json"
    path.write_text(path.read_text().replace('"tiny"', '"tidy"'))

    with pytest.raises(BundleError, match="changed after it was signed"):
        PolicyBundle.load(bundle, public_key=public)


def test_writing_a_bundle_again_drops_its_signature(bundle: Path, tmp_path: Path) -> None:
    private, _ = write_keys(tmp_path, "ours")
    sign(bundle, private_key=private)

    write_tiny_bundle(bundle)

    assert not (bundle / SIGNATURE).exists()


def test_another_kind_of_key_is_refused(bundle: Path, tmp_path: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    path = tmp_path / "rsa.key"
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))

    with pytest.raises(BundleError, match="signed with Ed25519"):
        sign(bundle, private_key=path)
