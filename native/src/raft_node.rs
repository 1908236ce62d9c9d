//! One node of raft-rs: bytes in, one record of what is to be done out.
//!
//! The order in which the caller carries out a `Ready` is raft's: `messages` at once (only a leader has any), then a snapshot, entries and
//! hard state made durable, then `messages_after`, then `persisted(number)`. Membership changes are applied as they are handed out.
//! Invariants: (1) nothing is stepped between raft's `ready` and `advance`; (2) a proposal is taken only from the leader of the named term;
//! (3) messages that only a client or this node itself may give are not taken from the network.

use crate::raft_window::Window;
use ::raft::eraftpb::{ConfChange, ConfChangeType, ConfState, Entry, EntryType, HardState, Message, MessageType, SnapshotMetadata};
use ::raft::{Config, ProgressState, RawNode, SnapshotStatus, StateRole, CAMPAIGN_TRANSFER};
use protobuf::Message as _;
use pyo3::create_exception;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

create_exception!(holdfast._native, RaftError, PyRuntimeError, "Raft cannot go on: its state may be torn.");

/// Returned by `step` for a message that was not taken.
const DROPPED: i32 = -1;
/// So much of an entry's data is shown where the rest does not matter.
const MARK_BYTES: usize = 16;
const LENGTH_BYTES: usize = 4;

type Sent = (u64, i32, Py<PyBytes>);
type Change = (u64, Py<PyBytes>);
/// Index of the first entry and of the last one, how the first one's data begin that has any, and the entries.
type Chunk = (u64, u64, Py<PyBytes>, Py<PyBytes>);
type Row = (u64, u64, i32, Py<PyBytes>);

fn failed(error: impl std::fmt::Display) -> PyErr {
    RaftError::new_err(error.to_string())
}

/// What is to be done now; see the module's text for the order.
#[pyclass(frozen, get_all)]
pub struct Ready {
    number: u64,
    messages: Vec<Sent>,
    messages_after: Vec<Sent>,
    must_sync: bool,
    hard_state: Option<(u64, u64, u64)>,
    entries: Vec<Chunk>,
    snapshot: Option<(u64, u64, Py<PyBytes>)>,
    committed: u64,
    mark: Option<Py<PyBytes>>,
    changes: Vec<Change>,
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
                        uncommitted_bytes, inflight, chunk_bytes, campaign_ticks = None))]
    #[allow(clippy::too_many_arguments)]
    fn new(
        id: u64,
        hard_state: (u64, u64, u64),
        voters: Vec<u64>,
        learners: Vec<u64>,
        base: (u64, u64),
        entries: Vec<PyBackedBytes>,
        election_ticks: usize,
        heartbeat_ticks: usize,
        message_bytes: u64,
        uncommitted_bytes: u64,
        inflight: usize,
        chunk_bytes: usize,
        campaign_ticks: Option<usize>,
    ) -> PyResult<Self> {
        let mut state = HardState::default();
        (state.term, state.vote, state.commit) = hard_state;
        let mut window = Window::new(base.0, base.1, state, conf_state(voters, learners));
        for payload in entries {
            let mut found = decode(&payload)?;
            found.retain(|entry| entry.index > base.0);
            if !window.append(&found) {
                return Err(failed("entries do not follow one another"));
            }
        }
        let config = Config {
            id,
            election_tick: election_ticks,
            min_election_tick: campaign_ticks.unwrap_or(election_ticks),
            max_election_tick: campaign_ticks.unwrap_or(election_ticks) + 1,
            heartbeat_tick: heartbeat_ticks,
            applied: hard_state.2,
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
        let silent = slog::Logger::root(slog::Discard, slog::o!());
        let raw = RawNode::new(&config, window, &silent).map_err(failed)?;
        Ok(RaftNode { raw, chunk_bytes, installing: None })
    }

    fn tick(&mut self) {
        self.raw.tick();
    }

    /// A message from a member: (its type, or -1: it was not taken; who sent it; whether a leader of no older term speaks).
    #[pyo3(signature = (data, gated, is_snapshot = false, /))]
    fn step(&mut self, data: &[u8], gated: bool, is_snapshot: bool) -> PyResult<(i32, u64, bool)> {
        let mut message = Message::default();
        if message.merge_from_bytes(data).is_err() || !self.is_acceptable(&message, gated, is_snapshot) {
            return Ok((DROPPED, message.from, false));
        }
        let (kind, from) = (message.get_msg_type(), message.from);
        let leads = matches!(kind, MessageType::MsgAppend | MessageType::MsgHeartbeat | MessageType::MsgSnapshot)
            && message.term >= self.raw.raft.term;
        match self.raw.step(message) {
            Ok(()) => Ok((kind as i32, from, leads)),
            Err(::raft::Error::StepPeerNotFound | ::raft::Error::StepLocalMsg | ::raft::Error::ProposalDropped) => {
                Ok((DROPPED, from, false))
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// The index that it gets; None: this node does not lead in that term, or takes nothing now.
    #[pyo3(signature = (data, term, /))]
    fn propose(&mut self, data: &[u8], term: u64) -> PyResult<Option<u64>> {
        if !self.leads(term) {
            return Ok(None);
        }
        match self.raw.propose(vec![], data.to_vec()) {
            Ok(()) => Ok(Some(self.raw.raft.raft_log.last_index())),
            Err(::raft::Error::ProposalDropped) => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    /// `kind`: 0 a voter, 1 no member any more, 2 a learner. None also: another change is not applied yet.
    #[pyo3(signature = (kind, id, context, term, /))]
    fn propose_change(&mut self, kind: i32, id: u64, context: &[u8], term: u64) -> PyResult<Option<u64>> {
        if !self.leads(term) || self.raw.raft.has_pending_conf() {
            return Ok(None);
        }
        let mut change = ConfChange::default();
        change.set_change_type(match kind {
            0 => ConfChangeType::AddNode,
            1 => ConfChangeType::RemoveNode,
            2 => ConfChangeType::AddLearnerNode,
            _ => return Err(failed("no such change")),
        });
        change.node_id = id;
        change.context = context.to_vec().into();
        match self.raw.propose_conf_change(vec![], change) {
            Ok(()) => Ok(Some(self.raw.raft.raft_log.last_index())),
            Err(::raft::Error::ProposalDropped) => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    /// Nothing happens if this node is no voter: raft would let it be elected.
    fn campaign(&mut self) -> PyResult<()> {
        if !self.raw.raft.promotable() {
            return Ok(());
        }
        self.raw.campaign().map_err(failed)
    }

    /// A follower whose leader seems to be dead may vote for another one.
    fn forget_leader(&mut self) {
        if self.raw.raft.state == StateRole::Follower {
            let term = self.raw.raft.term;
            self.raw.raft.become_follower(term, 0);
        }
    }

    /// Leads no more in this term.
    fn step_down(&mut self) {
        if self.raw.raft.state == StateRole::Leader {
            let term = self.raw.raft.term;
            self.raw.raft.become_follower(term, 0);
        }
    }

    #[pyo3(signature = (to, /))]
    fn transfer_leader(&mut self, to: u64) {
        self.raw.transfer_leader(to);
    }

    #[pyo3(signature = (context, /))]
    fn read_index(&mut self, context: &[u8]) {
        self.raw.read_index(context.to_vec());
    }

    /// Asks the leader for its state. False: there is none, or not now.
    fn request_snapshot(&mut self) -> bool {
        self.raw.request_snapshot().is_ok()
    }

    /// Tells the followers what is committed.
    fn broadcast(&mut self) {
        if self.raw.raft.state == StateRole::Leader {
            self.raw.raft.bcast_append();
        }
    }

    #[pyo3(signature = (id, /))]
    fn report_unreachable(&mut self, id: u64) {
        self.raw.report_unreachable(id);
    }

    #[pyo3(signature = (id, arrived, /))]
    fn report_snapshot(&mut self, id: u64, arrived: bool) {
        self.raw.report_snapshot(id, if arrived { SnapshotStatus::Finish } else { SnapshotStatus::Failure });
    }

    /// What is to be done; None: nothing.
    fn ready(&mut self, py: Python<'_>) -> PyResult<Option<Ready>> {
        if !self.raw.has_ready() {
            return Ok(None);
        }
        let mut ready = self.raw.ready();
        let snapshot = ready.snapshot();
        let installed = (!snapshot.is_empty()).then(|| snapshot.get_metadata().clone());
        if let Some(metadata) = &installed {
            self.installing = Some((ready.number(), metadata.index));
            self.raw.mut_store().reset(metadata.index, metadata.term);
        }
        let data = installed.map(|metadata| (metadata.index, metadata.term, PyBytes::new(py, &ready.snapshot().data).unbind()));
        if !self.raw.mut_store().append(ready.entries()) {
            return Err(failed("entries do not follow one another"));
        }
        let mut found = Ready {
            number: ready.number(),
            messages: sent(py, ready.take_messages())?,
            messages_after: sent(py, ready.take_persisted_messages())?,
            must_sync: ready.must_sync(),
            hard_state: ready.hs().map(|state| (state.term, state.vote, state.commit)),
            entries: encode(py, ready.entries(), self.chunk_bytes)?,
            snapshot: data,
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

    /// All that the readies up to this one wanted durable is so.
    #[pyo3(signature = (number, /))]
    fn persisted(&mut self, number: u64) {
        self.raw.on_persist_ready(number);
        if let Some((_, index)) = self.installing.filter(|(of, _)| *of <= number) {
            self.installing = None;
            self.raw.advance_apply_to(index);
        }
    }

    /// Entries after `after` and up to `through`, about `max_bytes` of them; None: the first of them is no longer in memory.
    #[pyo3(signature = (after, through, max_bytes, /))]
    fn entries(&self, py: Python<'_>, after: u64, through: u64, max_bytes: usize) -> PyResult<Option<Vec<Row>>> {
        let window = self.raw.store();
        if after + 1 < window.first() {
            return Ok(None);
        }
        let (mut found, mut size) = (vec![], 0);
        for index in after + 1..=through.min(window.last()) {
            let Some(entry) = window.get(index).filter(|_| size < max_bytes) else { break };
            size += entry.data.len();
            found.push(row(py, entry)?);
        }
        Ok(Some(found))
    }

    /// Of the entry at `index`; 0: not known any more, or not yet.
    #[pyo3(signature = (index, /))]
    fn term_at(&self, index: u64) -> u64 {
        self.raw.raft.raft_log.term(index).unwrap_or(0)
    }

    /// The state at `index` is durable, and may be sent to whom the entries before it are missing.
    #[pyo3(signature = (index, term, voters, learners, /))]
    fn offer_snapshot(&mut self, index: u64, term: u64, voters: Vec<u64>, learners: Vec<u64>) {
        let mut metadata = SnapshotMetadata::default();
        (metadata.index, metadata.term) = (index, term);
        metadata.set_conf_state(conf_state(voters, learners));
        self.raw.mut_store().offer(metadata);
    }

    /// Keeps at most `bytes` of entries, but all after `through`.
    #[pyo3(signature = (bytes, through, /))]
    fn compact(&mut self, bytes: usize, through: u64) {
        let applied = self.raw.raft.raft_log.applied();
        let store = self.raw.mut_store();
        let excess = store.excess(bytes);
        store.compact(excess.min(through).min(applied));
    }

    #[getter]
    fn wants_snapshot(&self) -> bool {
        self.raw.store().is_wanted()
    }

    #[getter]
    fn window_bytes(&self) -> usize {
        self.raw.store().bytes()
    }

    /// (term, leader, role, committed, applied, first index in memory, last index, whom leadership goes to)
    #[getter]
    fn status(&self) -> (u64, u64, i32, u64, u64, u64, u64, u64) {
        let raft = &self.raw.raft;
        let log = &raft.raft_log;
        let to = raft.lead_transferee.unwrap_or(0);
        (raft.term, raft.leader_id, raft.state as i32, log.committed, log.applied(), log.first_index(), log.last_index(), to)
    }

    /// By member, as the leader knows it: (id, matched, is a snapshot on its way), sorted.
    #[getter]
    fn progress(&self) -> Vec<(u64, u64, bool)> {
        let mut rows: Vec<_> = self.raw.raft.prs().iter().map(|(id, at)| (*id, at.matched, at.state == ProgressState::Snapshot)).collect();
        rows.sort_unstable();
        rows
    }
}

impl RaftNode {
    fn leads(&self, term: u64) -> bool {
        self.raw.raft.state == StateRole::Leader && self.raw.raft.term == term
    }

    fn is_acceptable(&self, message: &Message, gated: bool, is_snapshot: bool) -> bool {
        let raft = &self.raw.raft;
        if message.to != raft.id || message.from == raft.id || message.from == 0 || message.term == 0 {
            return false;
        }
        match message.get_msg_type() {
            MessageType::MsgTransferLeader | MessageType::MsgPropose | MessageType::MsgReadIndex | MessageType::MsgReadIndexResp => false,
            // Also from who is no member here: this node may lack the change that made it one.
            MessageType::MsgRequestVote | MessageType::MsgRequestPreVote => !gated || message.context == CAMPAIGN_TRANSFER,
            MessageType::MsgSnapshot => is_snapshot,
            // What no leader says ends the process in raft: here it is a message lost.
            MessageType::MsgHeartbeat => message.commit <= raft.raft_log.last_index(),
            MessageType::MsgAppend => {
                (message.index == 0) == (message.log_term == 0)
                    && message.entries.iter().zip(message.index + 1..).all(|(entry, index)| {
                        entry.index == index && entry.term != 0 && entry.term <= message.term && !self.contradicts(index, entry.term)
                    })
            }
            MessageType::MsgAppendResponse => message.index <= raft.raft_log.last_index(),
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
                    self.raw.apply_conf_change(&change).map_err(failed)?;
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

/// The entries of one payload of `Ready.entries`: (index, term, 0 for data or 1 for a change of members, data or the change's context).
#[pyfunction]
#[pyo3(signature = (payload, /))]
pub fn raft_entries(py: Python<'_>, payload: &[u8]) -> PyResult<Vec<Row>> {
    decode(payload)?.iter().map(|entry| row(py, entry)).collect()
}

/// A payload of one change of members that makes `id` the first voter: the first entry of a new log.
#[pyfunction]
#[pyo3(signature = (id, context, /))]
pub fn raft_first_entry(py: Python<'_>, id: u64, context: &[u8]) -> PyResult<Py<PyBytes>> {
    let change = ConfChange { node_id: id, context: context.to_vec().into(), ..Default::default() };
    let mut entry = Entry::default();
    (entry.index, entry.term) = (1, 1);
    entry.set_entry_type(EntryType::EntryConfChange);
    entry.data = change.write_to_bytes().map_err(failed)?.into();
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
    let mut change = ConfChange::default();
    change.merge_from_bytes(&entry.data).map_err(failed)?;
    Ok(change)
}

fn conf_state(voters: Vec<u64>, learners: Vec<u64>) -> ConfState {
    ConfState::from((voters, learners))
}

fn sent(py: Python<'_>, messages: Vec<Message>) -> PyResult<Vec<Sent>> {
    let one = |message: Message| {
        Ok((message.to, message.get_msg_type() as i32, PyBytes::new(py, &message.write_to_bytes().map_err(failed)?).unbind()))
    };
    messages.into_iter().map(one).collect()
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
        entry.write_to_vec(&mut chunk).map_err(failed)?;
        if entries.get(at + 1).is_none_or(|next| chunk.len() + next.data.len() > chunk_bytes) {
            chunks.push((first, entry.index, PyBytes::new(py, mark).unbind(), PyBytes::new(py, &chunk).unbind()));
            chunk.clear();
        }
    }
    Ok(chunks)
}

fn decode(payload: &[u8]) -> PyResult<Vec<Entry>> {
    let (mut entries, mut rest) = (vec![], payload);
    while let Some((head, tail)) = rest.split_at_checked(LENGTH_BYTES) {
        let size = u32::from_be_bytes(head.try_into().unwrap_or_default()) as usize;
        let (body, after) = tail.split_at_checked(size).ok_or_else(|| failed("an entry is cut short"))?;
        let mut entry = Entry::default();
        entry.merge_from_bytes(body).map_err(failed)?;
        entries.push(entry);
        rest = after;
    }
    if rest.is_empty() {
        Ok(entries)
    } else {
        Err(failed("an entry is cut short"))
    }
}
