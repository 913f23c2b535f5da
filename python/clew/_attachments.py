"""Attachments: bytes that belong to a session, named by what they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from . import _check, _core
from ._errors import Conflict
from ._stores import Duration, Front, Stored, from_us, reads, record, to_us

__all__ = [
    "AttachmentReader",
    "AttachmentRef",
    "AttachmentSweep",
    "Attachments",
    "ManifestEntry",
    "StoredAttachment",
]


_PUTS = 8  # tries to store bytes beside sweeps that wait for nothing
Bytes = bytes  # within a class whose property has that name


@dataclass(frozen=True, repr=False, slots=True)
class AttachmentRef(Stored):
    """What is known of a stored attachment. Its id is the SHA-256 of the bytes."""

    _facts = ("id", "byte_len", "media_type", "label")

    id: str
    byte_len: int
    media_type: str
    width: int | None = None
    height: int | None = None
    label: str | None = None


@dataclass(frozen=True, repr=False, slots=True)
class StoredAttachment(Stored):
    """An attachment with its bytes."""

    _facts = ("ref",)
    _reads = reads(ref=record(AttachmentRef))

    ref: AttachmentRef
    data: Bytes

    @property
    def bytes(self) -> Bytes:
        """The same as ``data``."""
        return self.data

    @property
    def meta(self) -> AttachmentRef:
        """The same as ``ref``."""
        return self.ref


@dataclass(frozen=True, repr=False, slots=True)
class ManifestEntry(Stored):
    """What a session wants stored, or has. ``committed_at``: when a commit first referred to it."""

    _facts = ("attachment_id", "session_id", "intent_at", "committed_at", "stored")
    _reads = reads(intent_at=from_us, committed_at=from_us)

    attachment_id: str
    session_id: str
    canonical_uri: str
    intent_at: datetime
    committed_at: datetime | None = None
    stored: bool = False


@dataclass(frozen=True, repr=False, slots=True)
class AttachmentSweep(Stored):
    """What a sweep removed."""

    _facts = ("deleted_files", "deleted_stages")

    deleted_files: int
    deleted_stages: int


Refs: TypeAlias = "list[AttachmentRef]"  # within the class, "list" is its method


class AttachmentReader(Iterator[bytes]):
    """Gives an attachment part by part, none of them large. Thread-safe."""

    __slots__ = ("_source",)

    def __init__(self, source: _core.AttachmentSource) -> None:
        self._source = source

    @property
    def ref(self) -> AttachmentRef:
        """What is known of it."""
        return AttachmentRef._from(self._source.ref)

    def __iter__(self) -> AttachmentReader:
        return self

    def __next__(self) -> bytes:
        """Return the next part. `Corrupt`, at the end, when the bytes were not what the id says."""
        part = self._source.next()
        if not part:
            raise StopIteration
        return part

    def __repr__(self) -> str:
        return f"<AttachmentReader of {self.ref.id}>"


class Attachments(Front):
    """The attachments of a runtime's store: ``rt.attachments``. Thread-safe. Every method blocks.

    Small ones are in the database; large ones are files in the folder ``<store>.attachments``,
    where the store is a file.
    """

    __slots__ = ()

    def put(
        self,
        session_id: str,
        data: bytes | Iterable[bytes],
        media_type: str,
        *,
        width: int | None = None,
        height: int | None = None,
        label: str | None = None,
    ) -> AttachmentRef:
        """Store bytes, or parts of them as they come. The same bytes are the same attachment.

        Args:
            session_id: Whose it is.
            data: The bytes, or an iterable of parts, which are never in memory together.
            media_type: Such as ``"image/png"``.
            width: In pixels.
            height: In pixels.
            label: For people.

        Raises:
            Conflict: The session was deleted, or the attachment forgotten meanwhile; or a sweep
                that waits for nothing took the parts that had come so far.
            ResourceExhausted: It is larger than 4 GiB, or the disk is full.

        Example:
            >>> ref = rt.attachments.put("demo", b"hello", "text/plain")
            >>> rt.attachments.get("demo", ref.id).data
            b'hello'
        """
        _check.require_open(self._core)
        _check.key("session_id", session_id)
        given: dict[str, Any] = {"media_type": media_type}
        extra = {"width": width, "height": height, "label": label}
        given.update((key, one) for key, one in extra.items() if one is not None)
        whole = isinstance(data, (bytes, bytearray, memoryview))
        given_data: Any = data
        if isinstance(given_data, str) or not isinstance(given_data, Iterable):
            raise _check.invalid("data", data, "bytes, or an iterable of them")
        for _ in range(_PUTS if whole else 0):
            try:
                return self._put(session_id, given, [data])
            except Conflict as error:
                if not error.context.get("swept"):
                    raise
        return self._put(session_id, given, [data] if whole else given_data)

    def _put(self, session_id: str, meta: Mapping[str, Any], parts: Iterable[Any]) -> AttachmentRef:
        sink = self._core.write_attachment(session_id, meta)
        for number, part in enumerate(parts):
            if not isinstance(part, (bytes, bytearray, memoryview)):
                raise _check.invalid(f"data[{number}]", part, "bytes")
            sink.append(bytes(part))
        return AttachmentRef._from(sink.finish())

    def get(self, session_id: str, id: str) -> StoredAttachment:  # noqa: A002 - the word of stores
        """Return an attachment with its bytes.

        Raises:
            NotFound: The session has stored none of that id.
            Corrupt: The bytes are missing or not what the id says.
        """
        reader = self.open(session_id, id)
        return StoredAttachment(reader.ref, b"".join(reader))

    def open(self, session_id: str, id: str) -> AttachmentReader:  # noqa: A002 - as above
        """Return an iterator over its parts. Raises what `get` does."""
        _check.require_open(self._core)
        return AttachmentReader(
            self._core.read_attachment(_check.key("session_id", session_id), _check.key("id", id))
        )

    def stat(self, session_id: str, id: str) -> AttachmentRef:  # noqa: A002 - as above
        """Return what is known of it. `NotFound`."""
        return AttachmentRef._from(
            self._do("attachment.stat", session_id=session_id, attachment_id=id)
        )

    def list(self, session_id: str) -> Refs:
        """Return what the session has stored, by id."""
        found = self._do("attachment.list", session_id=session_id)
        return [AttachmentRef._from(one) for one in found]

    def record_intent(self, session_id: str, id: str, canonical_uri: str = "") -> None:  # noqa: A002 - as above
        """Say that an attachment is about to be stored; `put` does it by itself."""
        self._do(
            "attachment.record_intent",
            session_id=session_id,
            attachment_id=id,
            canonical_uri=canonical_uri,
        )

    def commit_refs(self, session_id: str, ids: Sequence[str]) -> None:
        """Say that something refers to these; a commit does it by itself. `NotFound`."""
        _check.require_open(self._core)
        names = _check.texts("ids", ids)
        self._do("attachment.commit_refs", session_id=session_id, attachment_ids=names)

    def list_uncommitted(self, until: datetime | None = None) -> tuple[ManifestEntry, ...]:
        """Return what nothing refers to, whose intent is not after ``until``, earliest first."""
        _check.require_open(self._core)
        bound = None if until is None else to_us("until", until)
        found = self._do("attachment.list_uncommitted", until=bound)
        return tuple(ManifestEntry._from(one) for one in found)

    def forget(self, session_id: str, id: str) -> bool:  # noqa: A002 - as above
        """Say that the session needs it no more; a sweep removes what nobody needs."""
        return bool(self._do("attachment.forget", session_id=session_id, attachment_id=id))

    def sweep(self, older_than: Duration = "1h") -> AttachmentSweep:
        """Remove the files that nobody has needed for that long.

        Small attachments lie in the database: `Sessions.gc_unreachable` removes those.
        """
        _check.require_open(self._core)
        return AttachmentSweep._from(self._do("attachment.sweep", before=self._before(older_than)))

    def __repr__(self) -> str:
        return f"<Attachments of {self._core.name}>"
