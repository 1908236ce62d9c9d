//! The entries that raft may read: the recent ones, in memory. What is durable is Python's care.
//!
//! Invariants: (1) entries follow one another without a gap, the first one right after the base; (2) the base's term survives compaction;
//! (3) a snapshot is only offered while the entries after it are here.

use raft::eraftpb::{ConfState, Entry, HardState, Snapshot, SnapshotMetadata};
use raft::{Error, GetEntriesContext, RaftState, Result, Storage, StorageError};
use std::cmp::Ordering::{Equal, Greater, Less};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

const COMPACTED: Error = Error::Store(StorageError::Compacted);
const UNAVAILABLE: Error = Error::Store(StorageError::Unavailable);
/// What an entry costs beside its data: the record itself and what raft keeps of it.
const ENTRY_BYTES: usize = 200;

#[derive(Default)]
pub struct Window {
    base_index: u64,
    base_term: u64,
    entries: VecDeque<Entry>,
    pub bytes: usize,
    initial: RaftState,
    offered: Option<SnapshotMetadata>,
    wanted: AtomicBool,
}

impl Window {
    pub fn new((base_index, base_term): (u64, u64), hard_state: HardState, conf_state: ConfState) -> Self {
        Window { base_index, base_term, initial: RaftState::new(hard_state, conf_state), ..Default::default() }
    }

    pub fn first(&self) -> u64 {
        self.base_index + 1
    }

    pub fn last(&self) -> u64 {
        self.base_index + self.entries.len() as u64
    }

    /// What stands from the first one's index on makes way. False: there would be a gap.
    pub fn append(&mut self, entries: &[Entry]) -> bool {
        let Some(first) = entries.first() else { return true };
        if first.index < self.first() || first.index > self.last() + 1 {
            return false;
        }
        let kept = (first.index - self.first()) as usize;
        self.bytes -= self.entries.drain(kept..).map(|entry| cost(&entry)).sum::<usize>();
        self.bytes += entries.iter().map(cost).sum::<usize>();
        self.entries.extend(entries.iter().cloned());
        true
    }

    /// Keeps about `bytes` of entries, but all after `through`.
    pub fn compact(&mut self, bytes: usize, through: u64) {
        while self.bytes > bytes && self.base_index < through {
            let Some(entry) = self.entries.pop_front() else { return };
            self.bytes -= cost(&entry);
            (self.base_index, self.base_term) = (entry.index, entry.term);
        }
    }

    /// A snapshot has taken the place of everything.
    pub fn reset(&mut self, index: u64, term: u64) {
        self.entries.clear();
        (self.bytes, self.base_index, self.base_term, self.offered) = (0, index, term, None);
    }

    /// What a follower that is too far behind is sent.
    pub fn offer(&mut self, snapshot: SnapshotMetadata) {
        self.wanted.store(false, Relaxed);
        self.offered = Some(snapshot);
    }

    /// Has a snapshot been asked for that is not here?
    pub fn is_wanted(&self) -> bool {
        self.wanted.load(Relaxed)
    }

    pub fn get(&self, index: u64) -> Option<&Entry> {
        self.entries.get(index.checked_sub(self.first())? as usize)
    }
}

fn cost(entry: &Entry) -> usize {
    entry.data.len() + entry.context.len() + ENTRY_BYTES
}

impl Storage for Window {
    fn initial_state(&self) -> Result<RaftState> {
        Ok(self.initial.clone())
    }

    fn entries(&self, low: u64, high: u64, max_size: impl Into<Option<u64>>, _: GetEntriesContext) -> Result<Vec<Entry>> {
        if low < self.first() {
            return Err(COMPACTED);
        }
        let limit = max_size.into().unwrap_or(u64::MAX);
        let (mut found, mut size) = (Vec::new(), 0);
        for index in low..high {
            let entry = self.get(index).ok_or(UNAVAILABLE)?;
            size += cost(entry) as u64;
            if !found.is_empty() && size > limit {
                break;
            }
            found.push(entry.clone());
        }
        Ok(found)
    }

    fn term(&self, index: u64) -> Result<u64> {
        match index.cmp(&self.base_index) {
            Less => Err(COMPACTED),
            Equal => Ok(self.base_term),
            Greater => self.get(index).map(|entry| entry.term).ok_or(UNAVAILABLE),
        }
    }

    fn first_index(&self) -> Result<u64> {
        Ok(self.first())
    }

    fn last_index(&self) -> Result<u64> {
        Ok(self.last())
    }

    fn snapshot(&self, request_index: u64, to: u64) -> Result<Snapshot> {
        // Whom a snapshot does not name as a member would not take it.
        let names = |state: &ConfState| state.voters.contains(&to) || state.learners.contains(&to);
        let fits = |one: &&SnapshotMetadata| one.index >= request_index && one.index + 1 >= self.first() && names(one.get_conf_state());
        let offered = self.offered.as_ref().filter(fits).cloned();
        self.wanted.fetch_or(offered.is_none(), Relaxed);
        let metadata = offered.ok_or(Error::Store(StorageError::SnapshotTemporarilyUnavailable))?;
        Ok(Snapshot { metadata: Some(metadata).into(), ..Default::default() })
    }
}
