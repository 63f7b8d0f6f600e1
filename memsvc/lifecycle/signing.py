"""Signed documents: an erasure's receipt can be shown to somebody who does not trust the store it comes from."""

import base64
from collections.abc import Mapping
from pathlib import Path

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from memsvc.errors import ConfigurationError

ALGORITHM = "ed25519"


class Signer:
    """Signs with the service's own Ed25519 key (RFC 8032)."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key

    @classmethod
    def from_file(cls, path: Path) -> "Signer":
        """The key in that file; made, readable by its owner alone, when there is none yet."""
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            made = Ed25519PrivateKey.generate().private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
            partial = path.with_suffix(".partial")
            partial.unlink(missing_ok=True)
            partial.touch(mode=0o600, exist_ok=False)
            partial.write_bytes(base64.b64encode(made) + b"\n")
            partial.replace(path)
        try:
            return cls(Ed25519PrivateKey.from_private_bytes(base64.b64decode(path.read_bytes(), validate=False)))
        except ValueError:
            raise ConfigurationError(
                f"{path} holds no signing key", remedy="Restore it from a backup, or remove it for a new one."
            ) from None

    @property
    def public_key(self) -> str:
        """The public key, 32 bytes in base64."""
        return base64.b64encode(self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()

    def sign(self, document: Mapping[str, object]) -> dict[str, object]:
        """The document with `signature`: over its canonical JSON (sorted keys, no spaces, UTF-8)."""
        signature = base64.b64encode(self._key.sign(canonical(document))).decode()
        return {
            **document,
            "signature": {"algorithm": ALGORITHM, "public_key": self.public_key, "value": signature},
        }


def canonical(document: Mapping[str, object]) -> bytes:
    """What is signed: the document without its signature, as JSON with sorted keys and no spaces."""
    return orjson.dumps({name: document[name] for name in document if name != "signature"}, option=orjson.OPT_SORT_KEYS)


def verify(document: Mapping[str, object], public_key: str | None = None) -> str | None:
    """Why a signed document cannot be believed; None when it can.

    `public_key` (base64) is the key that is trusted; without one, the signature is only checked against the key that
    the document names itself, which shows that it is whole, and not who made it.
    """
    signature = document.get("signature")
    if not isinstance(signature, dict) or signature.get("algorithm") != ALGORITHM:
        return "it carries no ed25519 signature"
    named = str(signature.get("public_key"))
    if public_key is not None and named != public_key:
        return f"it was signed with the key {named}, not {public_key}"
    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(named))
        key.verify(base64.b64decode(str(signature.get("value"))), canonical(document))
    except (ValueError, InvalidSignature):
        return "its signature does not match: it was altered, or cut short"
    return None
