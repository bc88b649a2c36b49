"""Reads HDF5 files where a crash does no harm; run as a script by :mod:`jptycho.data.readers.hdf5`.

A damaged file can make the HDF5 library itself crash or never return. This process imports nothing but h5py, reads
paths from its standard input, and looks at each file in a child of its own: every name, shape, type and attribute, and
as much data as is read quickly. What the child has to say goes back as one line of JSON.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys

import h5py

SECONDS = 20
"""After which a file is given up."""
IDLE_SECONDS = 20
"""After which this process ends by itself."""
MEMORY = 2**33
"""Bytes of address space that looking at a file may take."""
SMALL = 2**25
"""Bytes of data that are read whole, of all arrays of a file together."""
OBJECTS = 100_000
"""That a file may have."""


def probe(path):
    """Read a file's structure and some of its data.

    Args:
        path: of the file.

    Returns:
        names of the other files that belong to it.
    """
    with h5py.File(path, "r") as file:
        seen, budget, waiting, others = set(), [SMALL], [file["/"]], set()
        while waiting:
            item = waiting.pop()
            info = h5py.h5o.get_info(item.id)  # pyright: ignore[reportAttributeAccessIssue]
            if (info.fileno, info.addr) in seen:
                continue
            seen.add((info.fileno, info.addr))
            if len(seen) > OBJECTS:
                raise ValueError("more objects than any scan has")
            others.add(item.file.filename)
            for name in item.attrs:
                read_attribute(item, name)
            if isinstance(item, h5py.Dataset):
                read_dataset(item, budget)
            elif isinstance(item, h5py.Group):
                waiting += [child for name in item if (child := child_of(item, name)) is not None]
    return sorted(others - {path})


def read_attribute(item, name):
    """Read an attribute; one whose type is no number or text is left alone."""
    try:
        item.attrs[name]
    except (TypeError, KeyError):
        return


def child_of(group, name):
    """What a link leads to; nothing where that is another file which is not there."""
    link = group.get(name, getlink=True)
    if not isinstance(link, h5py.HardLink):
        try:
            return group[name]
        except (KeyError, OSError):
            if is_there(group, link):
                raise
            return None
    return group[name]


def is_there(group, link):
    """Whether the other file to which a link leads exists."""
    if not isinstance(link, h5py.ExternalLink):
        return False
    return os.path.exists(os.path.join(os.path.dirname(group.file.filename), link.filename))


def read_dataset(dataset, budget):
    """Read a small array whole, and of a large one its first and last part."""
    bytes_there = dataset.size * dataset.dtype.itemsize if dataset.shape is not None else 0
    plist = dataset.id.get_create_plist()
    filters = [plist.get_filter(n)[0] for n in range(plist.get_nfilters())]
    if not bytes_there or not all(map(available, filters)):
        return
    if dataset.chunks is not None and not dataset.is_virtual:
        dataset.id.get_num_chunks()
    if bytes_there <= budget[0]:
        budget[0] -= bytes_there
        dataset[()]
        return
    dataset[(slice(0, 1),) * dataset.ndim]
    dataset[(slice(-1, None),) * dataset.ndim]


def available(code):
    """Whether a filter can be undone; those beyond HDF5's own come with a package that may not be there."""
    if not h5py.h5z.filter_avail(code):
        try:
            import hdf5plugin  # noqa: F401, PLC0415
        except ImportError:
            return False
    return h5py.h5z.filter_avail(code)


def limit():
    """Bound the time and memory of this process, and leave no image of it behind when it crashes."""
    import resource  # noqa: PLC0415

    signal.alarm(SECONDS)
    for kind, most in ((resource.RLIMIT_AS, MEMORY), (resource.RLIMIT_CORE, 0)):
        resource.setrlimit(kind, (most, most))


def answer(path):
    """What there is to say about a file: other files that belong to it, or what is wrong."""
    try:
        return {"files": probe(path)}
    except BaseException as error:
        return {"error": (str(error) or type(error).__name__)[:300]}


def in_child(path):
    """Look at a file in a child process; its end by a signal is an answer too."""
    here, there = os.pipe()
    child = os.fork()
    if child == 0:
        limit()
        with os.fdopen(there, "w") as pipe:
            json.dump(answer(path), pipe)
            pipe.flush()
        os._exit(0)
    os.close(there)
    with os.fdopen(here) as pipe:
        said = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status == 0:
        return said
    reason = "the HDF5 library does not come to an end" if status == -signal.SIGALRM else "the HDF5 library crashes"
    return json.dumps({"error": reason})


def main():
    """Answer every path that comes, one a line."""
    while select.select([sys.stdin], [], [], IDLE_SECONDS)[0]:
        line = sys.stdin.readline()
        if not line:
            return
        sys.stdout.write(in_child(json.loads(line)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
