"""What a judge reads of a state, whoever made it."""
from msgspec.structs import replace
from tests.unit.core.lane_node import FACTS, LaneNode

from holdfast.crypto import Secret
from holdfast.testing.restores import View

LAGGING = replace(FACTS, is_active=False, performance_standby=True, may_lag=True)


def test_a_refusal_is_final_also_where_a_standby_that_may_lag_made_the_state() -> None:
    node = LaneNode()
    view = View(node.access, node.replica, node.opened.keyring, LAGGING)
    assert view.ask("auth/token/lookup-self", Secret(b"hvs.nobody")).status == 403
    assert view.ask("auth/token/lookup-self", node.root).status == 200
