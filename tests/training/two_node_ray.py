"""Start a Ray cluster of two nodes, run trials on it and say what came out."""

import sys
from typing import Any

from ray.cluster_utils import Cluster

from coolcap_training.trials import run_trials

cluster: Any = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
cluster.add_node(num_cpus=1)
cluster.wait_for_nodes()
nodes = len(cluster.list_all_nodes())
try:
    results = dict(run_trials(abs, [-3, -1, -2], ray_address=cluster.address))
finally:
    cluster.shutdown()
sys.stdout.write(f"{dict(sorted(results.items()))} on {nodes} nodes\n")
