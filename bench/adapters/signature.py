"""A laboratory's signature on a run: Ed25519 over the head of its journal and the hashes of the files that people read."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from bench.errors import UsageError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

FILE: Final = "signature.json"
FILES: Final = ("host.json", "report.html", "junit.xml")
"""What is signed beside the journal; result.json follows from it."""
SCHEMA: Final = 2
_EARLIER: Final = 1
"""Signs the host facts alone beside the journal, as `host_sha256`. A version between the two wrote 1 and signed as 2 does."""
_PURPOSE: Final = b"charge point bench run, version 1\n"
"""What is signed begins with this, so that a signature serves nothing else."""


@dataclass(frozen=True, slots=True)
class Statement:
    """What a laboratory signs."""

    head: str
    """Hash of the journal's last line."""
    documents: int
    files: Mapping[str, str]
    """SHA-256 of each file beside the journal that people read: host facts, report, JUnit."""

    @classmethod
    def of(cls, folder: Path, head: str, documents: int) -> Statement:
        """Return the statement on a run's folder as it is."""
        there = [folder / name for name in FILES if (folder / name).is_file()]
        return cls(head, documents, {one.name: hashlib.sha256(one.read_bytes()).hexdigest() for one in there})

    def encoded(self, schema: int = SCHEMA) -> bytes:
        """Return the bytes that are signed."""
        told: dict[str, Any] = {"documents": self.documents, "head": self.head}
        told |= {"host_sha256": self.files.get("host.json")} if schema == _EARLIER else {"files": dict(self.files)}
        return _PURPOSE + orjson.dumps(told, option=orjson.OPT_SORT_KEYS)


def new_key(path: Path) -> Path:
    """Make a private key, readable by its owner alone, and the public key beside it; return the latter's path.

    Raises: UsageError where one of them is there already, or cannot be written.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )  # fmt: skip
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    beside = path.with_suffix(".pub")
    for file, content, mode in ((path, private, 0o600), (beside, public, 0o644)):
        try:
            fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        except OSError as error:
            raise UsageError(f"{file}: cannot be written: {error.strerror}") from None
        with os.fdopen(fd, "wb") as stream:
            stream.write(content)
    return beside


def load_private(path: Path) -> Ed25519PrivateKey:
    """Read a private key. Raises UsageError."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise UsageError(f"--key {path}: {error.strerror}") from None
    except (ValueError, TypeError):
        raise UsageError(f"--key {path}: is no private key in PEM without a password; `bench key FILE` makes one") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError(f"--key {path}: is no Ed25519 key; `bench key FILE` makes one")
    return key


def load_public(path: Path) -> Ed25519PublicKey:
    """Read a public key. Raises UsageError."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(path.read_bytes())
    except OSError as error:
        raise UsageError(f"--key {path}: {error.strerror}") from None
    except ValueError:
        raise UsageError(f"--key {path}: is no public key in PEM: take the .pub file") from None
    if not isinstance(key, Ed25519PublicKey):
        raise UsageError(f"--key {path}: is no Ed25519 key")
    return key


def fingerprint(key: Ed25519PublicKey) -> str:
    """Return what tells a public key from others, for people to compare: 16 hexadecimal digits of its SHA-256."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16]


def sign(key: Ed25519PrivateKey, statement: Statement) -> dict[str, Any]:
    """Return the content of `signature.json`."""
    return {
        "schema": SCHEMA,
        "algorithm": "Ed25519",
        "key": fingerprint(key.public_key()),
        "head": statement.head,
        "documents": statement.documents,
        "files": dict(statement.files),
        "signature": base64.b64encode(key.sign(statement.encoded())).decode(),
    }


def claimed(folder: Path) -> Mapping[str, Any]:
    """Return the content of a run's `signature.json`; nothing where there is none that can be read."""
    try:
        content = json.loads((folder / FILE).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def unknown_schema(content: Mapping[str, Any]) -> str:
    """Say that a signature's schema is none of those that this bench reads; empty where it is one."""
    schema = content.get("schema")
    return "" if schema in (_EARLIER, SCHEMA) else f"{FILE} has schema {schema}; this bench reads {_EARLIER} and {SCHEMA}"


def signed_files(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the files beside the journal that the content of a `signature.json` names, each with the hash that it tells."""
    if _rule(content) == _EARLIER:
        return {"host.json": content.get("host_sha256")}
    files = content.get("files")
    return files if isinstance(files, dict) else {}


def changed_files(folder: Path) -> list[str]:
    """Return the files that are not those that `signature.json` names, as findings: it takes no key to see that."""
    there = Statement.of(folder, "", 0).files
    told = signed_files(claimed(folder))
    return [f"{name} is not the one that was signed" for name in told if told[name] != there.get(name)]


def not_covered(folder: Path) -> list[str]:
    """Return the files that people read and that the signature does not cover: of a run's folder, or by an earlier rule."""
    content = claimed(folder)
    there = [name for name in FILES if (folder / name).is_file() or _rule(content) == _EARLIER]
    return [name for name in there if name not in signed_files(content)]


def findings(key: Ed25519PublicKey, folder: Path, statement: Statement) -> list[str]:
    """Return what is wrong with a run's signature, by the rule of its schema; nothing where this key has signed this run.

    Whether the files are those that it names, `changed_files` says.
    """
    from cryptography.exceptions import InvalidSignature

    path = folder / FILE
    if not path.is_file():
        return [f"{FILE} is missing: nobody has signed this run"]
    try:
        content = json.loads(path.read_bytes())
        signature = base64.b64decode(_text(content, "signature"), validate=True)
        signer = _text(content, "key")
    except (ValueError, RecursionError) as error:
        return [f"{FILE} cannot be read: {error}"]
    if unknown := unknown_schema(content):
        return [unknown]
    if signer != fingerprint(key):
        return [f"{FILE} says that key {signer} has signed; yours is {fingerprint(key)}"]
    try:
        key.verify(signature, replace(statement, files=signed_files(content)).encoded(_rule(content)))
    except (InvalidSignature, TypeError):
        return [f"the signature of key {signer} is not on this journal: it was changed after it was signed, or forged"]
    return []


def _rule(content: Mapping[str, Any]) -> int:
    """Return the schema whose rule a signature follows."""
    return _EARLIER if content.get("schema") == _EARLIER and "files" not in content else SCHEMA


def _text(content: object, name: str) -> str:
    value = content.get(name) if isinstance(content, Mapping) else None
    if not isinstance(value, str):
        raise ValueError(f"it has no {name}")  # noqa: TRY004  bad input, whatever its type
    return value
