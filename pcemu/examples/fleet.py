"""A fleet of headless guests on one image, spread over processes or computers by Dask.

Each guest has an undo session of its own on the image, which nothing changes; it types one command, and the
file that this leaves on its disk is its result. The session is thrown away::

    python -m pcemu.examples.fleet freedos.img --count 50 \\
        --type 'echo I am guest {number} > RESULT.TXT\\n' --result '\\RESULT.TXT' --into results

``--scheduler ADDRESS`` uses a Dask cluster that there is; the image must then be where all workers see it,
such as at an address (nbd://…, s3://…). Without it, ``--workers`` processes of this computer do it.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pcemu import Machine, MachineConfig
from pcemu.cli.disks import session_folder
from pcemu.cli.output import complain, note, result
from pcemu.cli.remote import remote_disk
from pcemu.cli.script import unescape
from pcemu.drives.drive import Drive
from pcemu.drives.fat import Volume
from pcemu.drives.fat_files import choose_partition, find_place
from pcemu.drives.fat_tree import Tree
from pcemu.errors import PcemuError, UsageError
from pcemu.session.record import State
from pcemu.session.session import Session

INTERRUPTED = 130  # what shells make of SIGINT
PROMPT = "C:\\>"
SCHEDULER_PATIENCE = 5  # s
INSTALL = "pip install 'pcemu[fleet]'"


class Job(NamedTuple):
    """What one guest does. ``image`` is a path or an address, ``timeout`` in seconds of virtual time."""

    number: int
    image: str
    keys: str
    prompt: str
    result: str
    timeout: float


class Outcome(NamedTuple):
    """What became of a guest: the content of its result file, or why there is none."""

    number: int
    content: bytes
    trouble: str


def run_guest(job: Job) -> Outcome:
    """One guest, from power-on to its result; its session is gone afterwards, whatever happened."""
    try:
        image = remote_disk(job.image) or Path(job.image)
        with (
            undone_session(image, f"fleet{job.number}") as session,
            Machine(MachineConfig(disks=[session.drive])) as pc,
        ):
            pc.run_until_text(job.prompt, job.timeout)
            pc.type(job.keys)
            pc.run_until_text(job.prompt, job.timeout)
            return Outcome(job.number, file_on(session.drive, job.result, job.image), "")
    except (PcemuError, OSError) as error:  # the others go on
        return Outcome(job.number, b"", str(error))


@contextlib.contextmanager
def undone_session(image: Path, name: str) -> Iterator[Session]:
    """A started session that is new, and discarded in the end."""
    with Session(image, name, fallback=session_folder()) as old:
        if old.found is not State.NEW:  # of a worker that was killed
            old.discard()
    with Session(image, name, fallback=session_folder()) as session:
        try:
            session.start()
            yield session
        finally:
            session.discard()


def file_on(drive: Drive, path: str, image: str) -> bytes:
    """The content of a file on the disk's active FAT partition; UsageError when it is not there."""
    partition = choose_partition(drive, image)
    tree = Tree(Volume(drive, partition.start, partition.sectors))
    place = find_place(tree, path, image)
    if place.entry is None or place.is_folder:
        raise UsageError(f"{image}: {path} is a folder, expected the file with the result")
    return tree.read_file(place.entry)


def run_fleet(jobs: list[Job], client: Any, done: Callable[[Outcome], None]) -> None:
    """Have the cluster behind ``client`` run all jobs; ``done`` is told of each, as they end."""
    from distributed import as_completed

    futures = client.map(run_guest, jobs, pure=False)
    for future in as_completed(futures):
        if future.status == "finished":
            done(future.result())
        else:  # its worker died again and again
            job = jobs[futures.index(future)]
            done(Outcome(job.number, b"", f"the worker failed: {future.exception()}"))


@contextlib.contextmanager
def cluster(scheduler: str | None, workers: int) -> Iterator[Any]:
    """A client of the cluster at an address, or of one that is made of processes here."""
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise UsageError(f"the fleet needs Dask, which is not installed; {INSTALL} installs it") from error
    if scheduler is not None:
        try:
            client = Client(scheduler, timeout=SCHEDULER_PATIENCE)
        except (OSError, ValueError) as error:
            raise UsageError(
                f"{scheduler}: no Dask scheduler answers ({error}), expected such as tcp://host:8786; start "
                f"`dask scheduler`, or leave --scheduler out"
            ) from error
        with client:
            yield client
        return
    # One thread each: the processor's engine has one of its own, and guests do not share it.
    with (
        LocalCluster(workers, threads_per_worker=1, dashboard_address=None) as local,
        Client(local) as client,
    ):
        yield client


def options() -> argparse.Namespace:
    """The command line."""
    description, _, more = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        prog="python -m pcemu.examples.fleet",
        description=description,
        epilog=more,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("image", help="a path or an address")
    parser.add_argument("--count", type=int, default=50, help="guests (50)")
    parser.add_argument("--type", dest="keys", required=True, help="what each types; {number} is its own")
    parser.add_argument("--until", default=PROMPT, help=f"what says that it can type ({PROMPT})")
    parser.add_argument("--result", required=True, help="the file on the guest's disk that is collected")
    parser.add_argument("--into", type=Path, required=True, help="the folder for the results")
    parser.add_argument("--workers", type=int, default=2, help="processes (2)")
    parser.add_argument("--scheduler", metavar="ADDRESS", help="of a Dask cluster that there is")
    parser.add_argument("--timeout", type=float, default=60.0, help="virtual seconds for a step (60)")
    found = parser.parse_args()
    if found.count < 1 or found.workers < 1:
        parser.error("--count and --workers want at least 1")
    return found


def main() -> int:
    """Run the fleet, and tell how it goes; 0, or 1 when a guest failed."""
    given = options()
    jobs = []
    for number in range(1, given.count + 1):
        keys = unescape(given.keys.replace("{number}", str(number)))
        jobs.append(Job(number, given.image, keys, given.until, given.result, given.timeout))
    try:
        given.into.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{given.into}: cannot be made: {error.strerror}; name another folder") from error
    ended: list[Outcome] = []

    def done(outcome: Outcome) -> None:
        ended.append(outcome)
        if outcome.trouble:
            complain(f"guest {outcome.number}: {outcome.trouble}")
        else:
            (given.into / str(outcome.number)).write_bytes(outcome.content)
        note(f"{len(ended)} of {len(jobs)} guests are done")

    with cluster(given.scheduler, given.workers) as client:
        run_fleet(jobs, client, done)
    failed = sum(bool(outcome.trouble) for outcome in ended)
    result(f"{len(jobs) - failed} of {len(jobs)} results are in {given.into}")
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except PcemuError as error:
        complain(str(error))
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
