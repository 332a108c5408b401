"""Files of a metric stream, local or in S3, as blocks of bytes: decompressed, bounded, never whole.

A block ends at a line end. gzip is recognised by its first bytes, whatever the
name. A truncated file gives what it holds, and says so; a file that grows beyond
any real compression is given up, and says so. Knows nothing of points.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from flyball_analytics.problems import SeriesError

READ_BYTES = 1 << 22
BLOCK_BYTES = 1 << 24  # 16 MiB, about 55,000 points: enough to make the overhead per block vanish
# JSON lines of metrics shrink 20 to 40 times, deflate at most 1,032 times.
RATIO_MAX = 400
RATIO_FREE_BYTES = 1 << 26  # below 64 MiB no ratio is dangerous
GZIP = b"\x1f\x8b"
S3 = "s3://"


class S3Client(Protocol):
    """What reading a bucket needs."""

    def list_objects_v2(self, **arguments: object) -> dict[str, Any]: ...
    def get_object(self, **arguments: object) -> dict[str, Any]: ...


class Blob(NamedTuple):
    """One file: name for messages, what tells without reading whether it changed, and how to read it."""

    name: str
    mark: str
    size: int
    chunks: Callable[[], Iterator[bytes]]


class BlobError(NamedTuple):
    """Why a file ended before its end."""

    what: str
    remedy: str


def local_blobs(path: Path) -> list[Blob]:
    """Return the file, or all files below a folder in order of their paths; hidden ones are left out.

    Raises:
        SeriesError: If there is none.
    """
    if path.is_dir():
        hidden = (p for p in path.rglob("*") if p.is_file())
        files = sorted(p for p in hidden if not any(s.startswith(".") for s in p.relative_to(path).parts))
    else:
        files = [path]
    if not files:
        raise SeriesError("the folder holds no file", path=str(path))
    return [_local(p) for p in files]


def _local(path: Path) -> Blob:
    def chunks() -> Iterator[bytes]:
        with path.open("rb") as file:
            while chunk := file.read(READ_BYTES):
                yield chunk

    try:
        stat = path.stat()
    except OSError as error:
        raise SeriesError(f"cannot be read: {error.strerror or error}", path=str(path)) from error
    return Blob(str(path), f"{stat.st_size}:{stat.st_mtime_ns}", stat.st_size, chunks)


def s3_blobs(url: str, client: S3Client) -> list[Blob]:
    """Return the objects under an `s3://bucket/prefix`, in order of their keys.

    Raises:
        SeriesError: If the address is none, or nothing is there.
    """
    bucket, _, prefix = url.removeprefix(S3).partition("/")
    if not bucket:
        raise SeriesError("is no address of a bucket: write it like s3://bucket/prefix", path=url)
    arguments: dict[str, object] = {"Bucket": bucket, "Prefix": prefix}
    found: list[Blob] = []
    while True:
        page = client.list_objects_v2(**arguments)
        found += [_object(bucket, item, client) for item in page.get("Contents", []) if item["Size"]]
        if not page.get("IsTruncated"):
            break
        arguments["ContinuationToken"] = page["NextContinuationToken"]
    if not found:
        raise SeriesError("there is no object with this prefix", path=url)
    return sorted(found, key=lambda blob: blob.name)


def _object(bucket: str, item: dict[str, Any], client: S3Client) -> Blob:
    key, size = str(item["Key"]), int(item["Size"])

    def chunks() -> Iterator[bytes]:
        body = client.get_object(Bucket=bucket, Key=key)["Body"]
        while chunk := body.read(READ_BYTES):
            yield chunk

    return Blob(f"{S3}{bucket}/{key}", f"{size}:{item.get('ETag', '')}", size, chunks)


class Reading:
    """One pass over a blob; then `sha256` is the digest of its bytes as stored, `error` what went wrong."""

    def __init__(self, blob: Blob) -> None:
        self.blob = blob
        self.size = 0
        self.error: BlobError | None = None
        self._digest = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """Digest of what was read so far."""
        return self._digest.hexdigest()

    def plain(self) -> Iterator[bytes]:
        """Yield the decompressed bytes in pieces of at most BLOCK_BYTES."""
        chunks = self._counted()
        first = next(chunks, b"")
        if not first.startswith(GZIP):
            if first:
                yield first
            yield from chunks
            return
        yield from self._inflated(first, chunks)

    def blocks(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Yield the pieces as whole lines, about BLOCK_BYTES at a time; the last may lack its line end."""
        held: list[bytes] = []
        size = 0
        for piece in pieces:
            held.append(piece)
            size += len(piece)
            if size >= BLOCK_BYTES:
                data = b"".join(held)
                cut = data.rfind(b"\n") + 1
                if cut:
                    yield data[:cut]
                elif size > 4 * BLOCK_BYTES:
                    self.error = BlobError(f"no line end in {size} bytes", "is it a metric stream?")
                    return
                held, size = [data[cut:]], len(data) - cut
        if size:
            yield b"".join(held)

    def _counted(self) -> Iterator[bytes]:
        for chunk in self.blob.chunks():
            self._digest.update(chunk)
            self.size += len(chunk)
            yield chunk

    def _inflated(self, first: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
        inflater = zlib.decompressobj(wbits=31)
        grown = 0
        rest = first
        try:
            while True:
                if inflater.eof:  # files may be joined: another member follows, or padding
                    rest = (inflater.unused_data + rest).lstrip(b"\0")
                    rest = rest or next(chunks, b"").lstrip(b"\0")
                    if not rest:
                        return
                    inflater = zlib.decompressobj(wbits=31)
                if not rest:
                    rest = next(chunks, b"")
                    if not rest:
                        self.error = BlobError(
                            "gzip is cut off", "what was there before is kept; fetch it again"
                        )
                        return
                piece = inflater.decompress(rest, BLOCK_BYTES)
                rest = b"" if inflater.eof else inflater.unconsumed_tail
                grown += len(piece)
                if grown > RATIO_FREE_BYTES and grown > RATIO_MAX * self.size:
                    self.error = BlobError(
                        f"{self.size} bytes grew to {grown} and more",
                        f"at most {RATIO_MAX} times is believed; decompress it yourself if it is right",
                    )
                    return
                if piece:
                    yield piece
        except zlib.error as error:
            self.error = BlobError(
                f"gzip is damaged: {error}", "what was there before is kept; fetch it again"
            )
