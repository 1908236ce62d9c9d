"""What went wrong in the peers' standbys: each a test that carries its number, here or in another folder; `test_numbers` counts them.

A worker is a standby of its own node, so most are asked of one node and of a cluster. Where what a bug was about does not exist here,
something else of its kind stands for it: a path for the MFA method of 1, a mount for the namespace of 4, settings for the PKI write of 7,
the contract engine for the databases of 21 and 50, wrapping tokens for the codes and states of 43, audit entries for the rest of 45.
"""
