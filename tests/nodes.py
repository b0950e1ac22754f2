"""A Ray cluster of several nodes on this machine: Ray's own test cluster."""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from bnnup.cluster.workers import QUIET

if TYPE_CHECKING:
    from ray._private.node import Node
    from ray.cluster_utils import Cluster

NO_RAY = "no Ray for this Python: pip install '.[cluster]'"
STORE = 100 << 20  # bytes; Ray's default is a third of the memory


@pytest.fixture(scope="session")
def nodes() -> Iterator["Cluster"]:
    """A head without cores, and two nodes with one each."""
    os.environ.update(QUIET)
    pytest.importorskip("ray", reason=NO_RAY)
    from ray.cluster_utils import Cluster

    made = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 0, "object_store_memory": STORE, "include_dashboard": False},
    )
    for _ in range(2):
        add_node(made)
    yield made
    made.shutdown()  # type: ignore[no-untyped-call]


def add_node(nodes: "Cluster") -> "Node":
    """One more node with one core, until somebody removes it."""
    node: Node = nodes.add_node(num_cpus=1, object_store_memory=STORE)
    return node
