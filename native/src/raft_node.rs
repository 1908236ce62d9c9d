//! One node of raft-rs: bytes in, one record of what is to be done out.
//!
//! The order in which the caller carries out a `Ready` is raft's: `messages` at once (only a leader has any), then a snapshot, entries and
//! hard state made durable, then `messages_after`, then `persisted(number)`. Membership changes are applied as they are handed out.
//! Invariants: (1) nothing is stepped between raft's `ready` and `advance`; (2) a proposal is taken only from the leader of the named term;
//! (3) messages that only a client or this node itself may give are not taken from the network.

use crate::error;
use crate::raft_window::Window;
use protobuf::{Message as _, ProtobufEnum as _};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use raft::eraftpb::{ConfChange, ConfChangeType, Entry, EntryType, HardState, Message, MessageType as Kind, SnapshotMetadata};
use raft::{Config, Error, ProgressState, RawNode, SnapshotStatus, StateRole, CAMPAIGN_TRANSFER, INVALID_INDEX};

/// Returned by `step` for a message that was not taken.
const DROPPED: i32 = -1;
/// Of an append that tells what is committed, and nothing else: its answer could say only what the leader knows, so none is sent.
const TELLS: &[u8] = b"t";
/// So much of an entry's data is shown where the rest does not matter.
const MARK_BYTES: usize = 16;

type Sent = (u64, i32, Py<PyBytes>);
/// Index of the first entry and of the last one, how the first one's data begin that has any, and the entries.
type Chunk = (u64, u64, Py<PyBytes>, Py<PyBytes>);
type Row = (u64, u64, i32, Py<PyBytes>);

/// What is to be done now; see the module's text for the order.
#[pyclass(frozen, get_all)]
pub struct Ready {
    number: u64,
    messages: Vec<Sent>,
    messages_after: Vec<Sent>,
    must_sync: bool,
    hard_state: Option<(u64, u64, u64)>,
    entries: Vec<Chunk>,
    snapshot: Option<(u64, u64)>,
    committed: u64,
    mark: Option<Py<PyBytes>>,
    changes: Vec<(u64, Py<PyBytes>)>,
    soft_state: Option<(u64, i32)>,
    read_states: Vec<Py<PyBytes>>,
}

#[pyclass]
pub struct RaftNode {
    raw: RawNode<Window>,
    chunk_bytes: usize,
    /// Number of the ready with a snapshot that is not durable yet, and the snapshot's index.
    installing: Option<(u64, u64)>,
}

#[pymethods]
impl RaftNode {
    #[new]
    #[pyo3(signature = (*, id, hard_state, voters, learners, base, entries, election_ticks, heartbeat_ticks, message_bytes,
                        uncommitted_bytes, inflight, chunk_bytes, campaign_ticks=None))]
    #[allow(clippy::too_many_arguments)]
    fn new(
        id: u64, hard_state: (u64, u64, u64), voters: Vec<u64>, learners: Vec<u64>, base: (u64, u64), entries: Vec<PyBackedBytes>,
        election_ticks: usize, heartbeat_ticks: usize, message_bytes: u64, uncommitted_bytes: u64, inflight: usize, chunk_bytes: usize,
        campaign_ticks: Option<usize>,
    ) -> PyResult<Self> {
        let campaign_ticks = campaign_ticks.unwrap_or(election_ticks);
        let (term, vote, commit) = hard_state;
        let state = HardState { term, vote, commit, ..Default::default() };
        let mut window = Window::new(base, state, (voters, learners).into());
        for payload in entries {
            let mut found = decode(&payload)?;
            found.retain(|entry| entry.index > base.0);
            if !window.append(&found) {
                return Err(error::raft("entries do not follow one another"));
            }
        }
        let config = Config {
            id,
            election_tick: election_ticks,
            min_election_tick: campaign_ticks,
            max_election_tick: campaign_ticks + 1,
            heartbeat_tick: heartbeat_ticks,
            applied: commit,
            max_size_per_msg: message_bytes,
            max_uncommitted_size: uncommitted_bytes,
            max_inflight_msgs: inflight,
            max_committed_size_per_ready: message_bytes,
            check_quorum: true,
            pre_vote: true,
            batch_append: true,
            skip_bcast_commit: true, // `broadcast` does it, when no append carries it anyway
            ..Default::default()
        };
        let raw = RawNode::new(&config, window, &slog::Logger::root(slog::Discard, slog::o!())).map_err(error::raft)?;
        Ok(RaftNode { raw, chunk_bytes, installing: None })
    }

    fn tick(&mut self) {
        self.raw.tick();
    }

    #[pyo3(signature = (data, gated, is_snapshot=false))]
    fn step(&mut self, data: &[u8], gated: bool, is_snapshot: bool) -> PyResult<(i32, u64, bool)> {
        let mut message = Message::default();
        if message.merge_from_bytes(data).is_err() || !self.is_acceptable(&message, gated, is_snapshot) {
            return Ok((DROPPED, message.from, false));
        }
        if message.request_snapshot > self.raw.raft.raft_log.committed {
            message.request_snapshot = INVALID_INDEX; // no state has what is not committed: waiting for one, it would get no entries
        }
        let (kind, from) = (message.get_msg_type(), message.from);
        let leads = matches!(kind, Kind::MsgAppend | Kind::MsgHeartbeat | Kind::MsgSnapshot) && message.term >= self.raw.raft.term;
        let told = (leads && message.entries.is_empty() && message.context == TELLS).then_some(message.index);
        match self.raw.step(message) {
            Ok(()) => {
                let is_known = |one: &mut Message| one.get_msg_type() == Kind::MsgAppendResponse && !one.reject && Some(one.index) == told;
                self.raw.raft.msgs.pop_if(is_known);
                Ok((kind as i32, from, leads))
            }
            Err(Error::StepPeerNotFound | Error::StepLocalMsg | Error::ProposalDropped) => Ok((DROPPED, from, false)),
            Err(error) => Err(error::raft(error)),
        }
    }

    fn propose(&mut self, data: &[u8], term: u64) -> PyResult<Option<u64>> {
        self.taken(term, |raw| raw.propose(vec![], data.to_vec()))
    }

    fn propose_change(&mut self, kind: i32, id: u64, context: &[u8], term: u64) -> PyResult<Option<u64>> {
        let change_type = ConfChangeType::from_i32(kind).ok_or_else(|| error::raft("no such change"))?;
        let change = ConfChange { change_type, node_id: id, context: context.to_vec().into(), ..Default::default() };
        self.taken(term, |raw| match raw.raft.has_pending_conf() {
            true => Err(Error::ProposalDropped),
            false => raw.propose_conf_change(vec![], change),
        })
    }

    /// raft would let be elected whoever is no voter.
    fn campaign(&mut self) -> PyResult<()> {
        match self.raw.raft.promotable() {
            true => self.raw.campaign().map_err(error::raft),
            false => Ok(()),
        }
    }

    fn forget_leader(&mut self) {
        self.follow_nobody(StateRole::Follower);
    }

    fn step_down(&mut self) {
        self.follow_nobody(StateRole::Leader);
    }

    fn transfer_leader(&mut self, to: u64) {
        self.raw.transfer_leader(to);
    }

    fn read_index(&mut self, context: &[u8]) {
        self.raw.read_index(context.to_vec());
    }

    /// Whoever waits for one takes no entries. So it is asked for no more where the leader may need this node to commit what it is to hold.
    fn request_snapshot(&mut self) -> bool {
        let raft = &mut self.raw.raft;
        let asked = raft.pending_request_snapshot;
        if asked == INVALID_INDEX || (asked <= raft.raft_log.committed && raft.raft_log.term(asked) == Ok(raft.term)) {
            return self.raw.request_snapshot().is_ok();
        }
        raft.pending_request_snapshot = INVALID_INDEX;
        false
    }

    fn broadcast(&mut self) {
        if self.raw.raft.state == StateRole::Leader {
            self.raw.raft.bcast_append();
        }
    }

    fn report_unreachable(&mut self, id: u64) {
        self.raw.report_unreachable(id);
    }

    fn report_snapshot(&mut self, id: u64, arrived: bool) {
        self.raw.report_snapshot(id, if arrived { SnapshotStatus::Finish } else { SnapshotStatus::Failure });
    }

    fn ready(&mut self, py: Python<'_>) -> PyResult<Option<Ready>> {
        if !self.raw.has_ready() {
            return Ok(None);
        }
        let mut ready = self.raw.ready();
        let at = ready.snapshot().get_metadata();
        let snapshot = (at.index > 0).then_some((at.index, at.term));
        if let Some((index, term)) = snapshot {
            self.installing = Some((ready.number(), index));
            self.raw.mut_store().reset(index, term);
        }
        if !self.raw.mut_store().append(ready.entries()) {
            return Err(error::raft("entries do not follow one another"));
        }
        let is_matched = |to, index| self.raw.raft.prs().get(to).is_some_and(|known| known.matched == index);
        let mut messages = ready.take_messages();
        for message in messages.iter_mut().filter(|one| one.get_msg_type() == Kind::MsgAppend && one.entries.is_empty()) {
            message.context = if is_matched(message.to, message.index) { TELLS.into() } else { Default::default() };
        }
        let mut found = Ready {
            number: ready.number(),
            messages: sent(py, messages)?,
            messages_after: sent(py, ready.take_persisted_messages())?,
            must_sync: ready.must_sync(),
            hard_state: ready.hs().map(|state| (state.term, state.vote, state.commit)),
            entries: encode(py, ready.entries(), self.chunk_bytes)?,
            snapshot,
            committed: 0,
            mark: None,
            changes: vec![],
            soft_state: ready.ss().map(|state| (state.leader_id, state.raft_state as i32)),
            read_states: ready.take_read_states().iter().map(|state| PyBytes::new(py, &state.request_ctx).unbind()).collect(),
        };
        let committed = ready.take_committed_entries();
        self.raw.advance_append_async(ready);
        self.apply(py, &mut found, &committed)?;
        Ok(Some(found))
    }

    fn persisted(&mut self, number: u64) {
        self.raw.on_persist_ready(number);
        if let Some((_, index)) = self.installing.filter(|(of, _)| *of <= number) {
            self.installing = None;
            self.raw.advance_apply_to(index);
        }
    }

    fn entries(&self, py: Python<'_>, after: u64, through: u64, max_bytes: usize) -> PyResult<Option<Vec<Row>>> {
        let (window, mut found, mut size) = (self.raw.store(), vec![], 0);
        for entry in (after + 1..=through).map_while(|index| window.get(index)) {
            if size >= max_bytes {
                break;
            }
            size += entry.data.len();
            found.push(row(py, entry)?);
        }
        Ok((after + 1 >= window.first()).then_some(found))
    }

    fn term_at(&self, index: u64) -> u64 {
        self.raw.raft.raft_log.term(index).unwrap_or(0)
    }

    fn offer_snapshot(&mut self, index: u64, term: u64, voters: Vec<u64>, learners: Vec<u64>) {
        let conf_state = Some((voters, learners).into()).into();
        self.raw.mut_store().offer(SnapshotMetadata { index, term, conf_state, ..Default::default() });
    }

    fn compact(&mut self, bytes: usize, through: u64) {
        let applied = self.raw.raft.raft_log.applied();
        self.raw.mut_store().compact(bytes, through.min(applied));
    }

    #[getter]
    fn wants_snapshot(&self) -> bool {
        self.raw.store().is_wanted()
    }

    #[getter]
    fn window_bytes(&self) -> usize {
        self.raw.store().bytes
    }

    #[getter]
    fn status(&self) -> (u64, u64, i32, u64, u64, u64, u64, u64) {
        let raft = &self.raw.raft;
        let log = &raft.raft_log;
        let (first, last, to) = (log.first_index(), log.last_index(), raft.lead_transferee.unwrap_or(0));
        (raft.term, raft.leader_id, raft.state as i32, log.committed, log.applied(), first, last, to)
    }

    #[getter]
    fn progress(&self) -> Vec<(u64, u64, bool)> {
        let mut rows: Vec<_> = self.raw.raft.prs().iter().map(|(id, at)| (*id, at.matched, at.state == ProgressState::Snapshot)).collect();
        rows.sort_unstable();
        rows
    }
}

impl RaftNode {
    /// The index that a proposal gets from the leader of `term`; None: it was not taken.
    fn taken(&mut self, term: u64, propose: impl FnOnce(&mut RawNode<Window>) -> raft::Result<()>) -> PyResult<Option<u64>> {
        if self.raw.raft.state != StateRole::Leader || self.raw.raft.term != term {
            return Ok(None);
        }
        match propose(&mut self.raw) {
            Ok(()) => Ok(Some(self.raw.raft.raft_log.last_index())),
            Err(Error::ProposalDropped) => Ok(None),
            Err(error) => Err(error::raft(error)),
        }
    }

    /// Whoever has this role waits for a leader from now on.
    fn follow_nobody(&mut self, role: StateRole) {
        let raft = &mut self.raw.raft;
        if raft.state == role {
            raft.become_follower(raft.term, 0);
        }
    }

    fn is_acceptable(&self, message: &Message, gated: bool, is_snapshot: bool) -> bool {
        let raft = &self.raw.raft;
        if message.to != raft.id || message.from == raft.id || message.from == 0 || message.term == 0 {
            return false;
        }
        match message.get_msg_type() {
            Kind::MsgTransferLeader | Kind::MsgPropose | Kind::MsgReadIndex | Kind::MsgReadIndexResp => false,
            // Also from who is no member here: this node may lack the change that made it one.
            Kind::MsgRequestVote | Kind::MsgRequestPreVote => !gated || message.context == CAMPAIGN_TRANSFER,
            // One of before what was asked for would take entries away that this node has said it has.
            Kind::MsgSnapshot => is_snapshot && message.get_snapshot().get_metadata().index >= raft.pending_request_snapshot,
            // What no leader says ends the process in raft: here it is a message lost.
            Kind::MsgHeartbeat => message.commit <= raft.raft_log.last_index(),
            Kind::MsgAppend => {
                (message.index == 0) == (message.log_term == 0)
                    && message.entries.iter().zip(message.index + 1..).all(|(entry, index)| {
                        entry.index == index && entry.term != 0 && entry.term <= message.term && !self.contradicts(index, entry.term)
                    })
            }
            Kind::MsgAppendResponse => message.index <= raft.raft_log.last_index(),
            _ => true,
        }
    }

    /// Is another entry committed there?
    fn contradicts(&self, index: u64, term: u64) -> bool {
        let log = &self.raw.raft.raft_log;
        index <= log.committed && log.term(index).is_ok_and(|known| known != 0 && known != term)
    }

    fn apply(&mut self, py: Python<'_>, found: &mut Ready, committed: &[Entry]) -> PyResult<()> {
        let Some(last) = committed.last() else { return Ok(()) };
        for entry in committed {
            match entry.get_entry_type() {
                EntryType::EntryNormal if entry.data.is_empty() => {}
                EntryType::EntryNormal => found.mark = Some(PyBytes::new(py, mark_of(entry)).unbind()),
                _ => {
                    let change = change_of(entry)?;
                    self.raw.apply_conf_change(&change).map_err(error::raft)?;
                    found.changes.push((entry.index, PyBytes::new(py, &change.context).unbind()));
                    if !self.raw.raft.promotable() {
                        self.step_down(); // raft would end the process at the next commit of a leader that is no member
                    }
                }
            }
        }
        self.raw.advance_apply_to(last.index);
        found.committed = last.index;
        Ok(())
    }
}

#[pyfunction]
pub fn raft_entries(py: Python<'_>, payload: &[u8]) -> PyResult<Vec<Row>> {
    decode(payload)?.iter().map(|entry| row(py, entry)).collect()
}

/// A payload of one change of members that makes `id` the first voter: the first entry of a new log.
#[pyfunction]
pub fn raft_first_entry(py: Python<'_>, id: u64, context: &[u8]) -> PyResult<Py<PyBytes>> {
    let change = ConfChange { node_id: id, context: context.to_vec().into(), ..Default::default() };
    let data = change.write_to_bytes().map_err(error::raft)?.into();
    let entry = Entry { entry_type: EntryType::EntryConfChange, index: 1, term: 1, data, ..Default::default() };
    Ok(encode(py, &[entry], usize::MAX)?.remove(0).3)
}

fn row(py: Python<'_>, entry: &Entry) -> PyResult<Row> {
    let is_change = entry.get_entry_type() != EntryType::EntryNormal;
    let data = if is_change { PyBytes::new(py, &change_of(entry)?.context) } else { PyBytes::new(py, &entry.data) };
    Ok((entry.index, entry.term, is_change as i32, data.unbind()))
}

fn mark_of(entry: &Entry) -> &[u8] {
    &entry.data[..entry.data.len().min(MARK_BYTES)]
}

fn change_of(entry: &Entry) -> PyResult<ConfChange> {
    ConfChange::parse_from_bytes(&entry.data).map_err(error::raft)
}

fn sent(py: Python<'_>, messages: Vec<Message>) -> PyResult<Vec<Sent>> {
    let sent = |message: Message| {
        let bytes = message.write_to_bytes().map_err(error::raft)?;
        Ok((message.to, message.get_msg_type() as i32, PyBytes::new(py, &bytes).unbind()))
    };
    messages.into_iter().map(sent).collect()
}

/// Each entry with its length before it, in pieces of about `chunk_bytes`.
fn encode(py: Python<'_>, entries: &[Entry], chunk_bytes: usize) -> PyResult<Vec<Chunk>> {
    let (mut chunks, mut chunk, mut first, mut mark) = (vec![], Vec::new(), 0, &[][..]);
    for (at, entry) in entries.iter().enumerate() {
        if chunk.is_empty() {
            (first, mark) = (entry.index, &[][..]);
        }
        if mark.is_empty() && entry.get_entry_type() == EntryType::EntryNormal {
            mark = mark_of(entry);
        }
        chunk.extend_from_slice(&entry.compute_size().to_be_bytes());
        entry.write_to_vec(&mut chunk).map_err(error::raft)?;
        if entries.get(at + 1).is_none_or(|next| chunk.len() + next.data.len() > chunk_bytes) {
            chunks.push((first, entry.index, PyBytes::new(py, mark).unbind(), PyBytes::new(py, &chunk).unbind()));
            chunk.clear();
        }
    }
    Ok(chunks)
}

fn decode(mut payload: &[u8]) -> PyResult<Vec<Entry>> {
    let (mut entries, cut) = (vec![], || error::raft("an entry is cut short"));
    while !payload.is_empty() {
        let (size, rest) = payload.split_first_chunk().ok_or_else(cut)?;
        let (entry, rest) = rest.split_at_checked(u32::from_be_bytes(*size) as usize).ok_or_else(cut)?;
        entries.push(Entry::parse_from_bytes(entry).map_err(error::raft)?);
        payload = rest;
    }
    Ok(entries)
}
