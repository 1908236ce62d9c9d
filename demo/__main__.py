"""`make demo`: each step with its result in plain words, and a table at the end. KEEP=1 leaves the nodes running."""
import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.cluster_nodes import Cluster

from demo.show import show
from demo.steps import Steps


def main() -> int:
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave the nodes running")
    keep = parser.parse_args().keep
    folder, began = Path(tempfile.mkdtemp(prefix="hf-demo-")), time.monotonic()
    cluster, steps, ended_well = Cluster(folder, 3, static=False, outlives=keep), Steps(), False
    try:
        show(steps, cluster)
        print(f"\n{steps.table()}\n\n{len(steps.rows)} steps in {time.monotonic() - began:.0f} s.")
        ended_well = True
        if keep:
            _tell(cluster)
    except (RuntimeError, AssertionError, OSError) as error:
        print(f"the demo failed: {error}", file=sys.stderr)
    finally:
        if not (keep and ended_well):
            cluster.end()
            shutil.rmtree(folder, ignore_errors=True)
    return 0 if ended_well else 1


def _tell(cluster: Cluster) -> None:
    active, pids = cluster.active, " ".join(str(member.pid) for member in cluster.members)
    print("\nThe nodes are left running. To talk to them:")
    print(f"  export VAULT_ADDR={active.address} VAULT_CACERT={active.ca} VAULT_TOKEN={cluster.root_token}")
    for member in cluster.members:
        print(f"  {Path(sys.executable).parent / 'holdfast'} status -address={member.address}    # {member.name}, log {member.log}")
    print(f"To end them: kill {pids} && rm -r {cluster.folder}")


if __name__ == "__main__":
    sys.exit(main())
