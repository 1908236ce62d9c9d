"""What an initialised cluster begins with: its keys for names and states, its name, the mounts that always are, the root token."""
from holdfast.core.cluster import CLUSTER, INFO, new_cluster
from holdfast.core.mounts import CUBBYHOLE_PATH, MOUNTS, MountConfig, MountEntry
from holdfast.core.secret_names import HASH_KEY, new_hash_key
from holdfast.core.state_token import KEY, StateKey
from holdfast.core.token_create import create_root
from holdfast.crypto import Secret
from holdfast.engine import Rng, TokenType, Txn
from holdfast.ids import Millis

STATE_KEY_BYTES = 32
IDENTITY, TOKEN, SYSTEM = "identity/", "auth/token/", "sys/"
PASSED_HEADERS = {IDENTITY: ("Authorization",), SYSTEM: ("Accept",)}
FIRST_MOUNTS = (
    (CUBBYHOLE_PATH, "cubbyhole", "per-token private secret storage"),
    (IDENTITY, "identity", "identity store"),
    (TOKEN, "token", "token based credentials"),
    # Never routed by the table; there to be seen, and so that nothing else can be mounted there.
    (SYSTEM, "system", "system endpoints used for control, policy and debugging"),
)


def write_first_state(txn: Txn, rng: Rng, now_ms: Millis, *, root_token: str = "") -> Secret:
    """Into a Txn at the root of an empty store, on the lane. Gives the root token, which is stored only as a hash; `root_token` names one
    for a node that is only tried out."""
    cluster = new_cluster(rng)
    HASH_KEY.put(txn, "", new_hash_key(rng))
    KEY.put(txn, "", StateKey(cluster_id=cluster.id, key=rng.bytes(STATE_KEY_BYTES)))
    CLUSTER.put(txn, INFO, cluster)
    for path, type_, text in FIRST_MOUNTS:
        uuid, is_auth = rng.uuid(), path == TOKEN
        accessor = f"{'auth_' if is_auth else ''}{type_}_{rng.bytes(4).hex()}"
        config = MountConfig(token_type=TokenType.DEFAULT_SERVICE, passthrough_request_headers=PASSED_HEADERS.get(path, ()))
        MOUNTS.put(txn, uuid, MountEntry(uuid=uuid, path=path, type=type_, accessor=accessor, description=text, is_auth=is_auth,
                                         local=path == CUBBYHOLE_PATH, seal_wrap=path == SYSTEM, config=config))
    return create_root(txn, rng, now_ms=now_ms, text=root_token).text
