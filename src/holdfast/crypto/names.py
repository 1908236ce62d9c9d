"""Keys of the store that this room's records live under.

| key | value | who can read it |
| --- | --- | --- |
| `core/seal-config`, `core/recovery-config` | SealConfig, JSON in plaintext | anybody with the disk: a sealed node shows it |
| `core/root-key-wrapped` | the root key under the seal (the combined unseal key, or the static key) | who has the seal |
| `core/recovery-key` | the recovery key under the seal (auto-unseal only), to check recovery shares with | who has the seal |
| `core/keyring` | the Keyring under the root key | who has the root key |
| `core/root-key` | the root key, a value of the barrier | unsealed nodes: so they follow a change of the root key |
| `core/keyring-usage` | KeyUsage, a value of the barrier | unsealed nodes |
| `core/shamir-kek` | the combined unseal key, a value of the barrier | unsealed nodes: so they can tell who else has the shares |

A rotation is one batch with a new `core/keyring`; a change of the root key is one batch with `core/keyring` under the new root key,
`core/root-key` under the current term, and `core/root-key-wrapped`. An unsealed node that applies either, or skips to a state past
both, opens `core/keyring` with the root key it has, or else with the one in `core/root-key`. If neither opens it, the node was away
for too long: it seals itself.
"""
SEAL_CONFIG = "core/seal-config"
RECOVERY_CONFIG = "core/recovery-config"
WRAPPED_ROOT_KEY = "core/root-key-wrapped"
WRAPPED_RECOVERY_KEY = "core/recovery-key"
KEYRING = "core/keyring"
ROOT_KEY = "core/root-key"
KEYRING_USAGE = "core/keyring-usage"
SHAMIR_KEK = "core/shamir-kek"

OUTSIDE_BARRIER = frozenset((SEAL_CONFIG, RECOVERY_CONFIG, WRAPPED_ROOT_KEY, WRAPPED_RECOVERY_KEY, KEYRING))
"""Needed before the barrier is open, so the barrier passes them through; each but the two configurations is sealed in its own way."""
