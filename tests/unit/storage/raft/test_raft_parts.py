"""The parts beside raft: times, the gate and the hold, who the members are, which record holds which entries, and what is written."""
import zlib
from functools import partial

import pytest

from holdfast.errors import IntegrityError, InvariantError
from holdfast.ids import Index, Millis, NodeId
from holdfast.storage import WriteBatch
from holdfast.storage.batch import decode
from holdfast.storage.raft import form, transport
from holdfast.storage.raft.extents import Extents
from holdfast.storage.raft.form import Base, Change, HardState, Install, Member
from holdfast.storage.raft.gate import Gate, Hold
from holdfast.storage.raft.members import Members
from holdfast.storage.raft.terms import Terms
from holdfast.storage.raft.timing import TIMING, Timing


def test_times_that_break_the_rules_are_refused() -> None:
    for wrong in ({"hold": 195}, {"lease": 190}, {"suspicion_min": 250}, {"suspicion_max": 500}):
        with pytest.raises(InvariantError):
            Timing(**wrong)


def test_performance_multiplier_stretches_suspicion_alone() -> None:
    slow = Timing(multiplier=5)
    assert (TIMING.election_ticks, slow.election_ticks) == (16, 112)
    assert [slow.patience(0, 0), slow.patience(1, 0), slow.patience(9, 0)] == [2, 32, 92]
    assert max(slow.patience(9, draw) for draw in range(1_000)) == 107 < slow.patience_max == 120
    assert slow.vote_gate == TIMING.vote_gate


def test_rule_7_a_hold_counts_from_before_the_round_that_confirmed_it() -> None:
    gate = Gate(TIMING, Millis(0))
    hold = Hold(TIMING, gate)
    first, second = hold.begin_round(3, Millis(1_000)), hold.begin_round(3, Millis(1_050))
    assert first
    assert second
    hold.confirmed(second)
    assert hold.until(3) == 1_050 + TIMING.hold
    hold.confirmed(first)
    assert hold.until(3) == 1_050 + TIMING.hold, "an older round says nothing new"
    assert hold.until(4) == 0
    assert gate.opens_at == 1_050 + TIMING.vote_gate, "rule 8: a leader gates itself too"


def test_two_rounds_of_one_millisecond_are_told_apart() -> None:
    hold = Hold(TIMING, Gate(TIMING, Millis(0)))
    first, second = hold.begin_round(3, Millis(1_000)), hold.begin_round(3, Millis(1_000))
    assert first
    assert second
    assert hold.begun == 2
    hold.confirmed(first)
    assert hold.answered == 1
    hold.confirmed(second)
    assert hold.answered == 2
    hold.confirmed(first)
    assert hold.answered == 2


def test_rule_7_what_changes_the_members_or_the_leader_voids_rounds_under_way() -> None:
    hold = Hold(TIMING, Gate(TIMING, Millis(0)))
    context = hold.begin_round(3, Millis(1_000))
    assert context
    hold.void()
    hold.confirmed(context)
    assert hold.until(3) == 0
    hold.confirmed(b"never begun")


def test_rule_10_a_hold_given_up_does_not_come_back_in_its_term() -> None:
    hold = Hold(TIMING, Gate(TIMING, Millis(0)))
    context = hold.begin_round(3, Millis(1_000))
    assert context
    hold.confirmed(context)
    assert hold.give_up(3) == 1_180
    assert hold.until(3) == 0
    assert hold.begin_round(3, Millis(1_100)) is None
    assert hold.begin_round(4, Millis(1_200)) is not None


def test_rule_8_the_gate_is_shut_from_the_start_and_after_a_leader_spoke() -> None:
    gate = Gate(TIMING, Millis(500))
    assert gate.is_shut(Millis(699))
    assert not gate.is_shut(Millis(700))
    gate.heard_leader(Millis(650))
    gate.heard_leader(Millis(600))
    assert gate.is_shut(Millis(849))
    assert not gate.is_shut(Millis(850))


def member(number: int, *, voter: bool = True) -> Member:
    return Member(id=NodeId(f"n{number}"), raft_id=number, address=f"a{number}:1", voter=voter)


def test_members_are_those_of_the_base_and_every_change_since() -> None:
    members = Members(4, [member(1), member(2)], 2)
    members.apply(7, Change(member=member(3, voter=False)))
    members.apply(9, Change(member=member(3)))
    members.apply(12, Change(member=member(2), remove=True))
    assert [one.raft_id for one in members.at(4)] == [1, 2]
    assert [one.voter for one in members.at(8)] == [True, True, False]
    assert members.at(11) == (member(1), member(2), member(3))
    assert members.sorted() == (member(1), member(3))
    assert members.is_removed
    assert members.changed_at == 12
    members.trim(9)
    assert members.at(10) == (member(1), member(2), member(3))
    members.apply(15, Change(member=member(2)))
    assert not members.is_removed
    assert not members.is_alone


def test_later_records_replace_what_earlier_ones_held() -> None:
    extents = Extents(0)
    extents.add(Index(1), 1, 5, 1)
    extents.add(Index(2), 6, 9, 4)
    extents.add(Index(3), 4, 4, 0)
    assert extents.last == 4
    assert extents.of(3) == (1, 1, 3, 1)
    assert extents.of(4) == (3, 4, 4, 1)
    assert extents.of(5) is None
    assert extents.of_wal(9) == (1, 1, 3, 1), "the later one has no batch"
    with pytest.raises(IntegrityError):
        extents.add(Index(4), 6, 6, 0)
    extents.trim(2)
    assert extents.of(2) is None
    assert extents.of(3) == (1, 3, 3, 1)
    assert extents.next_after(Index(1)) == (3, 4, 4, 1)
    extents.add(Index(5), 1, 2, 0)
    assert extents.last == 2, "also what lies behind the base replaces what came after it"
    extents.reset(20)
    assert extents.last == 20
    assert extents.next_after(Index(0)) is None


def test_batches_are_looked_for_where_they_are_not_in_the_empty_records_behind_them() -> None:
    extents = Extents(0)
    extents.add(Index(1), 1, 10, 50)                     # batches 50 to 59, and then new leaders' entries
    extents.add(Index(2), 11, 11, 0)
    extents.add(Index(3), 12, 12, 0)
    extents.add(Index(4), 13, 13, 60)
    assert extents.of_wal(49) is None
    for wal in (50, 55, 59):
        assert extents.of_wal(wal) == (1, 1, 10, 50)
    assert extents.of_wal(60) == (4, 13, 13, 60)


def test_what_is_written_is_read_back() -> None:
    group = [WriteBatch(index=Index(5 + at), time_ms=Millis(1), changes={"k": b"v", "gone": None}) for at in range(3)]
    data = form.write_group(group)
    assert form.read_group(data) == group
    assert (form.kind_of(data), form.first_index(data), form.last_index(data[:16])) == (form.BATCHES, 5, 7)
    install = Install(index=Index(9), generation=2, size=10, digest="ab")
    data = form.write_install(install)
    assert (form.kind_of(data), form.last_index(data), form.read_install(data)) == (form.INSTALL, 9, install)
    state = HardState(3, 1 << 62, 9)
    assert form.read_record(form.write_record(7, state, b"entries")) == (7, state, b"entries")
    change, base = Change(member=member(1), remove=True), Base(index=3, term=2, record=9, void=1, members=(member(1),))
    assert form.read_change(form.write_change(change)) == change
    assert form.read_base(form.write_base(base)) == base


@pytest.mark.parametrize("read", [form.read_group, form.read_install, form.read_record, form.read_change, form.last_index])
@pytest.mark.parametrize("data", [b"", b"\x00" * 40, b"\xff" * 40, b"\x01" + bytes(9), b"\x09" + bytes(60)])
def test_what_cannot_be_read_is_refused(read: object, data: bytes) -> None:
    assert callable(read)
    try:
        found = read(data)
    except IntegrityError:
        return
    assert read in (form.last_index, form.read_group), found


NESTED = b"\x91" * 100_000
BAD_UTF_8 = b"\x83\xa5index\x01\xaageneration\x01\xa6digest\xa2\xff\xfe"


@pytest.mark.parametrize("data", [NESTED, BAD_UTF_8, b"\x81\xa1x" + NESTED, b"\x81\xa2\xff\xfe\x01"])
def test_what_the_decoder_refuses_in_its_own_way_is_refused_like_all_else(data: bytes) -> None:
    head = form.write_install(Install(index=Index(1), generation=1, size=1, digest=""))[:13]
    nested_base = '{"members":' + "[" * 100_000
    for refuse in (partial(form.read_install, head + data), partial(form.read_change, data), partial(form.read_base, nested_base)):
        with pytest.raises(IntegrityError):
            refuse()
    assert transport.read(bytes((transport.OURS,)) + data) is None
    assert transport.read_header(data) is None
    assert not transport.is_append(bytes((transport.OURS,)) + data)
    with pytest.raises(IntegrityError):
        decode(b"\x01" + zlib.crc32(data).to_bytes(4) + data)


def test_where_terms_began_tells_the_term_of_any_entry_since() -> None:
    log = {1: 1, 2: 1, 3: 4, 4: 4, 5: 4, 6: 5}
    terms = Terms()
    terms.extend(0, 2, log.__getitem__)
    terms.extend(2, 5, log.__getitem__)
    terms.extend(5, 6, log.__getitem__)
    assert {index: terms.of(index) for index in log} == log
    assert terms.up_to(4) == ((1, 1), (3, 4))
    later = Terms(terms.up_to(4))
    assert [later.of(index) for index in (2, 4)] == [1, 4]
    later.note(5, 9)
    later.note(6, 9)
    later.note(5, 10)
    assert [later.of(index) for index in (4, 5, 6)] == [4, 10, 10]
    later.cut(4)
    assert later.of(6) == 4
    many = Terms()
    for index in range(1, 200):
        many.note(index, index)
    assert (many.of(199), many.of(100)) == (199, 0)
