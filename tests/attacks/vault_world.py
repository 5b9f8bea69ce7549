"""A registry with a vault, a platform that holds it, and readers: all in one process."""

import os
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from upcare_mpc.abe.groups import default_group, random_scalar
from upcare_mpc.abe.keys import AttributeKey
from upcare_mpc.abe.policy import parse
from upcare_mpc.abe.scheme import keygen, setup
from upcare_mpc.errors import ProtocolError
from upcare_mpc.records.variables import VARIABLES, Number
from upcare_mpc.vault.changes import Change
from upcare_mpc.vault.edition import HEAD, MAX_HEAD_BYTES, Edition, Root
from upcare_mpc.vault.keeper import Keeper
from upcare_mpc.vault.opening import check_head, open_group
from upcare_mpc.vault.payload import OPENED, payloads
from upcare_mpc.vault.state import State
from upcare_mpc.vault.store import check_name

GROUP = default_group()
ALPHA = random_scalar(os.urandom)
PUBLIC = setup(GROUP, ALPHA)
DAY = date(2026, 11, 2)
HMB = "use:hmb"
REFUSAL = "the sealed records do not open"


class MemoryStore:
    """A store that writes down what it sees, and can be cut."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.seen: list[tuple[str, int]] = []
        self.left: int | None = None

    def put(self, name: str, content: bytes) -> None:
        self._step("head" if name == HEAD else "put", len(content))
        if name == HEAD or name not in self.objects:
            self.objects[check_name(name)] = content

    def get(self, name: str, *, at_most: int) -> bytes | None:
        content = self.objects.get(check_name(name))
        return None if content is None or len(content) > at_most else content

    def delete(self, name: str) -> None:
        self._step("delete", len(self.objects.get(name, b"")))
        self.objects.pop(check_name(name), None)

    def names(self) -> list[str]:
        return list(self.objects)

    def settle(self) -> None:
        self._step("settle", 0)

    def _step(self, what: str, size: int) -> None:
        if self.left == 0:
            raise Cut
        if self.left is not None:
            self.left -= 1
        self.seen.append((what, size))


class Cut(Exception):
    """The plug is pulled."""


class World:
    """One registry and its vault."""

    def __init__(self, folder: Path, registry: str = "de-a") -> None:
        self.registry = registry
        self.store = MemoryStore()
        self.folder = folder
        self.signer = Ed25519PrivateKey.generate()
        self.random: Callable[[int], bytes] = os.urandom

    def sign(self, said: bytes) -> bytes:
        return self.signer.sign(said)

    def verify(self, said: bytes, signature: bytes) -> None:
        try:
            self.signer.public_key().verify(signature, said)
        except InvalidSignature:
            raise ProtocolError("not signed by the registry") from None

    @property
    def keeper(self) -> Keeper:
        return Keeper(self.folder, self.store, registry=self.registry)

    def change(
        self, patient: int, terms: str | None = HMB, *, day: date = DAY, **tumour: Any
    ) -> Change:
        """Patient ``n`` is known again by 1000 + n days of follow-up."""
        if terms is None:
            return Change(pseudonym=pseudonym(patient), policy=None, payload=None)
        return Change(
            pseudonym=pseudonym(patient),
            policy=policy(terms, registry=self.registry, day=day),
            payload=payload({"follow_up_days": 1000 + patient, **tumour}),
        )

    def publish(self, *changes: Change, day: date = DAY) -> State:
        with self.keeper.writing():
            return self.keeper.publish(
                changes, day=day, public=PUBLIC, sign=self.sign, random=self.random
            )

    @property
    def edition(self) -> Edition:
        head = self.store.get(HEAD, at_most=MAX_HEAD_BYTES)
        assert head is not None
        edition, _ = check_head(
            head, registry=self.registry, verify=self.verify, earliest=date.min, seen=None
        )
        return edition

    def root(self, terms: str = HMB) -> Root:
        edition = self.edition
        wanted = policy(terms, registry=self.registry, day=edition.day)
        return next(root for root in edition.groups if root.place.policy == wanted)

    def open(
        self, terms: str = HMB, root: Root | None = None, key: AttributeKey | None = None
    ) -> Any:
        """Open a group with a key made for it; one table."""
        root = root or self.root(terms)
        key = key or reader(root, *(set(parse(terms).rows) if terms else ()))
        return pa.Table.from_batches(list(open_group(PUBLIC, key, self.store, root)), OPENED)

    def patients(self, terms: str = HMB) -> list[int]:
        return sorted(days - 1000 for days in self.open(terms)["follow_up_days"].to_pylist())


def policy(terms: str, *, registry: str = "de-a", day: date = DAY) -> str:
    ours = f"epoch:{day.isoformat()[:7]},site:{registry}"
    return str(parse(f"and({ours},{terms})" if terms else f"and({ours})"))


def reader(root: Root, *attributes: str) -> AttributeKey:
    ours = (f"epoch:{root.place.epoch}", f"site:{root.place.registry}")
    return keygen(GROUP, ALPHA, (*ours, *attributes), random_scalar(os.urandom))


def pseudonym(patient: int) -> bytes:
    return ((patient + 1) * 0x9E3779B97F4A7C15 % 2**128).to_bytes(16, "little")


def rows(*patients: tuple[bytes, list[Mapping[str, Any]]]) -> Any:
    """Tumours of some patients as columns."""
    flat = [(who, tumour) for who, tumours in patients for tumour in tumours]
    columns = {"pseudonym": pa.array([who for who, _ in flat], pa.binary(16))}
    for name, variable in VARIABLES.items():
        kind = pa.int64() if isinstance(variable.type, Number) else pa.string()
        columns[name] = pa.array([tumour.get(name) for _, tumour in flat], kind)
    return pa.record_batch(columns)


def payload(*tumours: Mapping[str, Any]) -> bytes:
    ((_, written),) = payloads(rows((bytes(16), list(tumours))))
    assert written is not None
    return written


def flipped(content: bytes, bit: int) -> bytes:
    return (int.from_bytes(content) ^ 1 << bit).to_bytes(len(content))


def kinds(store: MemoryStore) -> Iterator[tuple[str, str]]:
    """Names of objects with the first four letters of each."""
    for name, content in store.objects.items():
        if name != HEAD:
            yield name, content[:4].decode()
