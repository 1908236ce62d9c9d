"""Named workloads against a node of this repository, beside nginx, the disk, or another server: `python -m bench`.

How to run them and what they mean: docs/performance.md.
"""
