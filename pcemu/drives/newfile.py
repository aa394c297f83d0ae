"""New files, made so that a crash leaves the whole file or none, and nothing is ever written over.

A file is written under a temporary name in its folder, synced, and only then given its name::

    temporary file → synced → linked to its name → temporary name removed → folder synced

What a crash leaves behind is at most a file whose name :func:`is_temporary` knows. Who writes it holds its
lock, so that the next one to make the same file knows it for a leftover, and removes it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import uuid
from collections.abc import Callable, Sequence

from pcemu.drives.hostfile import HOST, Host, HostFile
from pcemu.drives.locks import is_free, lock_file, take_if_free
from pcemu.errors import ImageAccessError, ImageError, UsageError

NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
TEMPORARY_SUFFIX = ".new"
TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}" + re.escape(TEMPORARY_SUFFIX), re.DOTALL)
TEMPORARY_TAIL = re.compile("[0-9a-f]{8}" + re.escape(TEMPORARY_SUFFIX))

Part = tuple[int, bytes]  # offset, content


def temporary_name(path: str) -> str:
    """A name that nobody has, in the folder of ``path``."""
    folder, name = os.path.split(path)
    return os.path.join(folder, f".{name}.{uuid.uuid4().hex[:8]}{TEMPORARY_SUFFIX}")  # noqa: PTH118


def is_temporary(name: str) -> bool:
    """True for what :func:`temporary_name` makes."""
    return TEMPORARY.fullmatch(name) is not None


def temporary_file(path: str, host: Host) -> HostFile:
    """A new file in the folder of ``path``, to get that name later; locked, so that it is no leftover."""
    sweep(path, host)
    while True:
        file = host.create(temporary_name(path))
        try:
            lock_file(file.fd, path, shared=False)
            if os.name == "nt" or file.status().st_nlink:
                return file
        except ImageAccessError:  # another one looks whether it is a leftover, and may remove it
            file.close()
            remove(file.path, host)
        except BaseException:
            file.close()
            remove(file.path, host)
            raise
        else:
            file.close()


def sweep(path: str, host: Host) -> None:
    """Remove what killed operations left of a file to be called ``path``; OSError from its folder."""
    folder, name = os.path.split(path)
    start = f".{name}."  # asked first: the folder may hold hundreds of sessions
    for each in host.names_in(folder or "."):
        if each.startswith(start) and TEMPORARY_TAIL.fullmatch(each, len(start)):
            with contextlib.suppress(OSError):
                remove_abandoned(os.path.join(folder, each), host)  # noqa: PTH118


def abandoned(path: str, host: Host) -> bool:
    """True for a file that nobody is writing, as far as the kernel knows."""
    try:
        file = host.open_image(path, read_only=True, lock=False)
    except ImageError:
        return False
    try:
        return is_free(file.fd)
    finally:
        file.close()


def remove_abandoned(path: str, host: Host) -> bool:
    """Remove a file if nobody is writing it, as far as the kernel knows; True when it is gone. OSError.

    It is locked meanwhile: who has just made it, and comes second, sees that it is gone and makes another.
    """
    try:
        file = host.open_image(path, read_only=True, lock=False)
    except ImageError:
        return False
    try:
        if not take_if_free(file.fd):
            return False
        host.unlink(path)
        return True
    finally:
        file.close()


def write_new(
    path: str,
    parts: Sequence[Part],
    host: Host = HOST,
    fill: Callable[[HostFile], None] | None = None,
) -> None:
    """A new file of ``parts`` with holes between; ``fill`` writes the rest.

    Raises UsageError when the name is taken, ImageAccessError when the host cannot write it.
    """
    try:
        if exists(path, host):
            raise FileExistsError
        file = temporary_file(path, host)
        try:
            _fill(file, parts, fill)
            _give_name(file.path, path, host)
        finally:
            remove(file.path, host)
    except FileExistsError:
        raise UsageError(
            f"{path}: exists, expected a new name; remove it first or take another name"
        ) from None
    except OSError as error:
        raise ImageAccessError(
            f"{path}: cannot be created: {error.strerror}; check its folder, permissions and free space"
        ) from error


def exists(path: str, host: Host) -> bool:
    """True when the name is taken."""
    try:
        host.stat(path)
    except FileNotFoundError:
        return False
    return True


def remove(path: str, host: Host) -> None:
    """Remove a name, if that is possible."""
    with contextlib.suppress(OSError):
        host.unlink(path)


def _fill(file: HostFile, parts: Sequence[Part], fill: Callable[[HostFile], None] | None) -> None:
    try:
        for offset, data in parts:
            file.write(data, offset)
        if fill is not None:
            fill(file)
        file.sync_all()
    finally:
        file.close()


def _give_name(temporary: str, path: str, host: Host) -> None:
    """Link, which never replaces; file systems without links get the next best."""
    try:
        host.link(temporary, path)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno not in NO_LINKS or exists(path, host):
            raise
        host.rename(temporary, path)
    try:
        host.sync_dir_of(path)
    except OSError:
        remove(path, host)  # as if it had not been made, so that it can be tried again
        raise
