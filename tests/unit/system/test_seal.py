"""sys/init, sys/unseal: how what is asked of a sealed node may be written."""
import base64

import pytest
from tests.contract.one_node import OneNode

from holdfast.core.outcome import Do
from holdfast.crypto import Secret
from holdfast.engine import Method, NodeFacts, Place
from holdfast.engine.effect import Unseal
from holdfast.errors import BadRequest
from holdfast.system.seal import read_share

SHARE = bytes(range(33))


@pytest.mark.parametrize("body", [
    {"key": SHARE.hex(), "migrate": True}, {"Key": SHARE.hex(), "Migrate": True}, {"KEY": SHARE.hex(), "MIGRATE": 1},
])
def test_fields_may_be_written_in_capitals(body: dict[str, object]) -> None:
    node = OneNode()
    node.facts = NodeFacts(initialized=True)
    outcome = node.attempt(node.request(Method.POST, "sys/unseal", body, token=None), Place.MAIN)
    assert isinstance(outcome, Do)
    assert isinstance(outcome.effect, Unseal)
    assert (outcome.effect.share, outcome.effect.migrate) == (Secret(SHARE), True)


def test_a_node_that_waits_for_shares_of_its_cluster_begins_none_of_its_own() -> None:
    node = OneNode()
    node.facts = NodeFacts(ha_enabled=True, threshold=2, shares=3)
    assert node.call(Method.GET, "sys/init", token=None).json == {"initialized": True}
    assert node.call(Method.GET, "sys/health", token=None).status == 503
    refused = node.call(Method.POST, "sys/init", {"secret_shares": 1, "secret_threshold": 1}, token=None)
    assert (refused.status, refused.json["errors"]) == (400, ["Vault is already initialized"])
    node.facts = NodeFacts(ha_enabled=True)
    assert node.call(Method.GET, "sys/init", token=None).json == {"initialized": False}


@pytest.mark.parametrize("written", [SHARE.hex(), SHARE.hex().upper(), base64.b64encode(SHARE).decode()])
def test_a_share_is_hex_or_base64(written: str) -> None:
    assert read_share(written) == Secret(SHARE)


def test_what_is_no_key_as_hex_is_base64() -> None:
    """44 characters that are digits of both: 22 bytes are no key, 33 are."""
    assert read_share("abcdef01" * 5 + "abcd") == Secret(base64.b64decode("abcdef01" * 5 + "abcd"))


@pytest.mark.parametrize("written", ["zz", "é" * 44, " ".join(["00"] * 33), "00" * 33 + "\n", "A" * 2000])
def test_what_is_no_share(written: str) -> None:
    with pytest.raises(BadRequest, match="'key' must be a valid hex or base64 string"):
        read_share(written)
