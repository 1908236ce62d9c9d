//! Atomic 64-bit words in memory that a node's processes share.
//!
//! The memory is an anonymous file, sealed against growing and shrinking, so that no process can take it away from under another.

use crate::error::Error;
use pyo3::prelude::*;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, RawFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicI64, Ordering};

const WORD_SIZE: usize = size_of::<AtomicI64>();
const WORDS_MAX: usize = 1 << 20;

/// Signed 64-bit words. Every operation is sequentially consistent.
#[pyclass(frozen)]
pub struct Words {
    file: File,
    memory: NonNull<AtomicI64>,
    count: usize,
}

// SAFETY: the mapping lives as long as the object, and is only reached through atomics.
unsafe impl Send for Words {}
unsafe impl Sync for Words {}

impl Words {
    fn map(file: File, count: usize) -> Result<Self, Error> {
        // SAFETY: a new shared mapping of a file that cannot shrink; the result is checked.
        let memory = unsafe {
            let flags = libc::PROT_READ | libc::PROT_WRITE;
            libc::mmap(std::ptr::null_mut(), count * WORD_SIZE, flags, libc::MAP_SHARED, file.as_raw_fd(), 0)
        };
        match NonNull::new(memory.cast::<AtomicI64>()) {
            Some(words) if memory != libc::MAP_FAILED => Ok(Words { file, memory: words, count }),
            _ => Err(io::Error::last_os_error().into()),
        }
    }

    fn word(&self, index: usize) -> Result<&AtomicI64, Error> {
        if index >= self.count {
            return Err(Error::Range("no such word"));
        }
        // SAFETY: inside of the mapping, aligned, and valid as long as self.
        Ok(unsafe { self.memory.add(index).as_ref() })
    }
}

impl Drop for Words {
    fn drop(&mut self) {
        // SAFETY: mapped by `map` with this length, and nobody holds a reference any more.
        unsafe { libc::munmap(self.memory.as_ptr().cast(), self.count * WORD_SIZE) };
    }
}

#[pymethods]
impl Words {
    /// New words, all 0.
    #[staticmethod]
    fn create(count: usize) -> PyResult<Self> {
        if count == 0 || count > WORDS_MAX {
            return Err(Error::Range("1 to 1048576 words").into());
        }
        // SAFETY: the name is a constant C string; the result is checked.
        let fd = unsafe { libc::memfd_create(c"holdfast-words".as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING) };
        if fd < 0 {
            return Err(Error::from(io::Error::last_os_error()).into());
        }
        // SAFETY: just made, and owned by nobody else.
        let file = unsafe { File::from_raw_fd(fd) };
        file.set_len((count * WORD_SIZE) as u64).map_err(Error::from)?;
        // SAFETY: a plain system call on a descriptor that we own.
        if unsafe { libc::fcntl(fd, libc::F_ADD_SEALS, libc::F_SEAL_SHRINK | libc::F_SEAL_GROW) } < 0 {
            return Err(Error::from(io::Error::last_os_error()).into());
        }
        Ok(Words::map(file, count)?)
    }

    /// The words behind a descriptor that another process made; the descriptor itself stays the caller's.
    #[staticmethod]
    fn open(fd: RawFd) -> PyResult<Self> {
        if fd < 0 {
            return Err(Error::from(io::Error::from_raw_os_error(libc::EBADF)).into());
        }
        // SAFETY: a plain system call; a descriptor that is not open, or no such file, gives -1.
        let seals = unsafe { libc::fcntl(fd, libc::F_GET_SEALS) };
        if seals < 0 || seals & libc::F_SEAL_SHRINK == 0 {
            return Err(Error::from(io::Error::from_raw_os_error(libc::EINVAL)).into());
        }
        // SAFETY: the call above has shown that it is open.
        let owned = unsafe { BorrowedFd::borrow_raw(fd) }.try_clone_to_owned().map_err(Error::from)?;
        let file = File::from(owned);
        let count = file.metadata().map_err(Error::from)?.len() as usize / WORD_SIZE;
        if count == 0 || count > WORDS_MAX {
            return Err(Error::Range("1 to 1048576 words").into());
        }
        Ok(Words::map(file, count)?)
    }

    /// The descriptor: hand it to a child process, which calls `open`.
    #[getter]
    fn fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }

    fn __len__(&self) -> usize {
        self.count
    }

    #[pyo3(signature = (index, /))]
    fn load(&self, index: usize) -> PyResult<i64> {
        Ok(self.word(index)?.load(Ordering::SeqCst))
    }

    #[pyo3(signature = (index, value, /))]
    fn store(&self, index: usize, value: i64) -> PyResult<()> {
        self.word(index)?.store(value, Ordering::SeqCst);
        Ok(())
    }

    /// Adds, wrapping around; gives what was there before.
    #[pyo3(signature = (index, amount, /))]
    fn fetch_add(&self, index: usize, amount: i64) -> PyResult<i64> {
        Ok(self.word(index)?.fetch_add(amount, Ordering::SeqCst))
    }

    /// Raises the word to `value` unless it is higher; gives what was there before.
    #[pyo3(signature = (index, value, /))]
    fn fetch_max(&self, index: usize, value: i64) -> PyResult<i64> {
        Ok(self.word(index)?.fetch_max(value, Ordering::SeqCst))
    }
}
