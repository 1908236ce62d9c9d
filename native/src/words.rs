//! Atomic 64-bit words in memory that a node's processes share.
//!
//! The memory is an anonymous file, sealed against growing and shrinking, so that no process can take it away from under another.

use memmap2::MmapRaw;
use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use rustix::fs::{fcntl_add_seals, fcntl_get_seals, memfd_create, MemfdFlags, SealFlags};
use rustix::io::{fcntl_dupfd_cloexec, Errno};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::sync::atomic::{AtomicI64, Ordering::SeqCst};

const WORD_SIZE: usize = size_of::<AtomicI64>();
const WORDS_MAX: usize = 1 << 20;

#[pyclass(frozen)]
pub struct Words {
    file: File,
    memory: MmapRaw,
}

impl Words {
    fn map(file: File) -> PyResult<Self> {
        match file.metadata()?.len() as usize / WORD_SIZE {
            1..=WORDS_MAX => Ok(Words { memory: MmapRaw::map_raw(&file)?, file }),
            _ => Err(PyIndexError::new_err("1 to 1048576 words")),
        }
    }

    fn word(&self, index: usize) -> PyResult<&AtomicI64> {
        if index >= self.__len__() {
            return Err(PyIndexError::new_err("no such word"));
        }
        // SAFETY: inside of the mapping, which cannot shrink; aligned, as pages are; valid as long as self; reached through atomics alone.
        Ok(unsafe { AtomicI64::from_ptr(self.memory.as_mut_ptr().cast::<i64>().add(index)) })
    }
}

fn new_file(size: usize) -> io::Result<File> {
    let file = File::from(memfd_create(c"holdfast-words", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?);
    file.set_len(size as u64)?;
    fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW)?;
    Ok(file)
}

fn file_of(fd: RawFd) -> io::Result<File> {
    if fd < 0 {
        return Err(Errno::BADF.into());
    }
    // SAFETY: borrowed for one system call alone, which refuses what is not open.
    let file = File::from(fcntl_dupfd_cloexec(unsafe { BorrowedFd::borrow_raw(fd) }, 0)?);
    fcntl_get_seals(&file)?.contains(SealFlags::SHRINK).then_some(file).ok_or(Errno::INVAL.into())
}

#[pymethods]
impl Words {
    #[staticmethod]
    fn create(count: usize) -> PyResult<Self> {
        Words::map(new_file(count.saturating_mul(WORD_SIZE))?)
    }

    #[staticmethod]
    fn open(fd: RawFd) -> PyResult<Self> {
        Words::map(file_of(fd)?)
    }

    #[getter]
    fn fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }

    fn __len__(&self) -> usize {
        self.memory.len() / WORD_SIZE
    }

    fn load(&self, index: usize) -> PyResult<i64> {
        Ok(self.word(index)?.load(SeqCst))
    }

    fn store(&self, index: usize, value: i64) -> PyResult<()> {
        self.word(index)?.store(value, SeqCst);
        Ok(())
    }
}
