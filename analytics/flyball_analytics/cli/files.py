"""Files that commands write: whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def writing_whole(path: Path | None) -> Iterator[IO[bytes] | None]:
    """Yield a file that takes the place of `path` when all is written; an error leaves the old one.

    None yields None: nothing is to be written.
    """
    if path is None:
        yield None
        return
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        if error.filename is None:  # a full disk does not say which file was not written
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    finally:
        part.unlink(missing_ok=True)


def write_whole(path: Path, data: bytes) -> None:
    """Replace the file at `path` by `data` in one step; an interruption leaves the old one.

    Raises:
        OSError: If the folder is missing or not writable.
    """
    with writing_whole(path) as file:
        if file is not None:
            file.write(data)
