"""What a cluster's clients notice when something happens to one of its nodes, and what standbys cost. `python -m bench.ha`.

Three nodes with TLS on this machine, each with one worker, storage "raft", open loop of 100 reads/s and 100 writes/s at every node.
The peers' figures that stand beside ours were measured once with the same load on the same kind of machine (OpenBao at its head of August
2026, Vault 1.14.1, both with integrated storage); they are told for comparison, not measured again.
"""
