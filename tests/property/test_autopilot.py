"""Whatever autopilot sees, what it removes leaves the cluster able to decide."""
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.engine import AutopilotFacts, RaftMember
from holdfast.ids import Millis, NodeId
from holdfast.system.autopilot import Config, Contact, is_dead, judge, promotions, removals

NOW = Millis(1_700_000_000_000)
AGES = st.one_of(st.none(), st.integers(0, 200_000))


@st.composite
def seen(draw: st.DrawFn) -> tuple[AutopilotFacts, Config]:
    names = [NodeId(f"n{number}") for number in range(draw(st.integers(1, 9)))]
    leader = draw(st.sampled_from(names))
    members = [RaftMember(id=name, raft_id=raft_id, address=f"{name}:1", voter=name == leader or draw(st.booleans()))
               for raft_id, name in enumerate(names)]
    held = Config(cleanup_dead_servers=draw(st.booleans()), min_quorum=draw(st.integers(0, 9)), dead_server_last_contact_threshold=60)

    def look(before: AutopilotFacts | None, now_ms: Millis) -> AutopilotFacts:
        contacts = {member.raft_id: Contact(age_ms=draw(AGES), index=draw(st.integers(0, 2_000)))
                    for member in members if draw(st.booleans())}
        return judge(before, members, contacts, held, leader=leader, term=3, index=1_500, now_ms=now_ms)

    return look(look(None, NOW), Millis(NOW + draw(st.integers(0, 200_000)))), held


@given(seen())
@settings(max_examples=200)
def test_removals_are_safe(found: tuple[AutopilotFacts, Config]) -> None:
    facts, held = found
    removed = {each.id for each in removals(facts, held)}
    voters = {each.member.id for each in facts.servers if each.member.voter}
    assert facts.leader not in removed
    assert removed <= {each.member.id for each in facts.servers if is_dead(each, held)}
    assert len(voters - removed) > len(voters) // 2, "what is left is a majority of what was"
    if removed & voters:
        assert held.cleanup_dead_servers
        assert len(voters - removed) >= held.min_quorum


@given(seen(), st.integers(0, 60_000))
@settings(max_examples=100)
def test_votes_go_to_the_healthy_alone(found: tuple[AutopilotFacts, Config], after_ms: int) -> None:
    facts, held = found
    later = Millis(NOW + 200_000 + after_ms)
    given_votes = promotions(facts, frozenset((NodeId("n1"),)), held, began_ms=NOW, now_ms=later)
    for member in given_votes:
        server = next(each for each in facts.servers if each.member == member)
        assert server.is_healthy
        assert not server.member.voter
        assert member.id != "n1"
        assert later - server.since_ms >= held.server_stabilization_time * 1000
