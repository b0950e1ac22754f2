"""Simulated machines of one core each, on this one: Ray's own test cluster."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bnnup.cluster.workers import QUIET

STORE = 200 << 20  # bytes


@contextmanager
def cluster(nodes: int) -> Iterator[str]:
    """The address of a cluster of so many, beside a head without cores."""
    os.environ.update(QUIET, RAY_worker_niceness="0")  # as the process that is compared
    from ray.cluster_utils import Cluster

    made = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 0, "object_store_memory": STORE, "include_dashboard": False},
    )
    for _ in range(nodes):
        made.add_node(num_cpus=1, object_store_memory=STORE)
    yield made.address
    made.shutdown()  # type: ignore[no-untyped-call]


def claimer(claims: Path, cores: int) -> Callable[[], None]:
    """Has the worker that calls it hold to a core that no other has.

    ``claims`` gets a folder for each, with a link to what its process has used.
    """

    def claim() -> None:  # made here, because functions travel whole only from within others
        for core in range(cores):
            try:
                (claims / str(core)).mkdir()
            except FileExistsError:
                continue
            for thread in os.listdir("/proc/self/task"):
                os.sched_setaffinity(int(thread), {core})
            (claims / str(core) / "stat").symlink_to(f"/proc/{os.getpid()}/stat")
            return

    return claim
