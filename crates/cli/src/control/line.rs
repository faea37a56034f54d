//! Lines from a socket, with a limit.

use std::io;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Why there is no next line.
#[derive(Debug)]
pub(super) enum LineError {
    Io(io::Error),
    /// Longer than the limit, in bytes.
    TooLong(usize),
    /// The other side ended in the middle of a line.
    Half,
}

/// Reads lines that end in LF.
pub(super) struct LineReader<R> {
    input: R,
    buffer: Vec<u8>,
    /// How much of the buffer is known to hold no line end.
    searched: usize,
    limit_bytes: usize,
}

/// Room made for one read, in bytes: the size of a socket's own buffer or less.
const CHUNK_BYTES: usize = 64 * 1024;

impl<R: AsyncRead + Unpin> LineReader<R> {
    pub(super) fn new(input: R, limit_bytes: usize) -> Self {
        LineReader { input, buffer: Vec::new(), searched: 0, limit_bytes }
    }

    /// The next line without its end; `None` where the other side ended between lines.
    ///
    /// Cancel safe: what was read stays for the next call.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<u8>>, LineError> {
        loop {
            if let Some(at) = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n') {
                let end = self.searched + at;
                if end > self.limit_bytes {
                    return Err(LineError::TooLong(self.limit_bytes));
                }
                let rest = self.buffer.split_off(end + 1);
                let mut line = std::mem::replace(&mut self.buffer, rest);
                line.pop();
                self.searched = 0;
                return Ok(Some(line));
            }
            self.searched = self.buffer.len();
            if self.buffer.len() > self.limit_bytes {
                return Err(LineError::TooLong(self.limit_bytes));
            }
            self.buffer.reserve(CHUNK_BYTES);
            match self.input.read_buf(&mut self.buffer).await.map_err(LineError::Io)? {
                0 if self.buffer.is_empty() => return Ok(None),
                0 => return Err(LineError::Half),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_are_bounded_and_a_half_one_is_told_from_an_end() {
        let mut lines = LineReader::new(&b"one\n\n12345\nhalf"[..], 5);
        assert_eq!(lines.next().await.unwrap().unwrap(), b"one");
        assert_eq!(lines.next().await.unwrap().unwrap(), b"");
        assert_eq!(lines.next().await.unwrap().unwrap(), b"12345");
        assert!(matches!(lines.next().await, Err(LineError::Half)));
        assert!(matches!(LineReader::new(&b"123456\n"[..], 5).next().await, Err(LineError::TooLong(5))));
        assert!(matches!(LineReader::new(tokio::io::repeat(b'x'), 5).next().await, Err(LineError::TooLong(5))));
        assert!(LineReader::new(&b""[..], 5).next().await.unwrap().is_none());
    }
}
