"""What went wrong in the peers' standbys, each a test named after its number; a worker is a standby of its own node.

Numbers 46 and 47, with their kill -9, stand in `tests/crash/test_server_jobs.py`; 47 at 3,000 children here.

Left out, because what they are about does not exist yet:
1, the MFA method; 4, the namespace; 7, the PKI write (settings and mounts stand for them); 11, audited headers and CORS (what is hashed
stands for them); 21, a database (the contract engine stands for it); 22, `sys/raw`; 23, generate-root, rekey;
12 to 14, 19, 28 between nodes, 30 to 34, 37, 38, 48 to 50: a second node, or raft; 15, namespaces; 16, quotas;
42 and 44 over several nodes (processes stand for them); 43, TOTP codes and OIDC states; 45, rate limits and LDAP.
"""
