//! An input that can be read twice: a file, or a pipe kept in a temporary file; gzip is recognized by its magic.

use crate::exit::{Exit, Failure};
use crate::limits::{READ_BUFFER_BYTES, SPOOL_LIMIT_BYTES};
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Where rows come from.
#[derive(Debug)]
pub struct Source {
    name: String,
    place: Place,
    size_bytes: u64,
    gzip: bool,
}

#[derive(Debug)]
enum Place {
    /// A regular file, opened anew for each pass; it must not change between them.
    Path { path: PathBuf, modified: Option<SystemTime> },
    /// What came from a pipe.
    Spooled(File),
}

/// Which bytes of the source have been read, for progress. Shape: bytes as they lie in the file, so compressed ones.
pub(super) type Position = Arc<AtomicU64>;

impl Source {
    /// Opens a file, or spools it if it is a pipe or a device. `-` is standard input.
    ///
    /// Errors: the file cannot be read, is a directory, or is a pipe with more than the spool limit.
    pub fn open(path: &Path) -> Result<Source, Failure> {
        if path == Path::new("-") {
            return Source::spool(io::stdin().lock(), "standard input", SPOOL_LIMIT_BYTES);
        }
        let name = path.display().to_string();
        let mut file = File::open(path).map_err(|error| Failure::io(format_args!("open {name}"), &error))?;
        let meta = file.metadata().map_err(|error| Failure::io(format_args!("look at {name}"), &error))?;
        if meta.is_dir() {
            return Err(Failure::new(Exit::Data, format!("{name} is a directory")).remedy("name a file in it"));
        }
        if !meta.is_file() {
            return Source::spool(file, &name, SPOOL_LIMIT_BYTES);
        }
        let gzip = is_gzip(&mut file).map_err(|error| Failure::io(format_args!("read {name}"), &error))?;
        let place = Place::Path { path: path.to_owned(), modified: meta.modified().ok() };
        Ok(Source { name, place, size_bytes: meta.len(), gzip })
    }

    /// Keeps everything that `input` gives in a temporary file without a name.
    ///
    /// Errors: more than `limit_bytes`; no temporary file.
    pub fn spool(mut input: impl Read, name: &str, limit_bytes: u64) -> Result<Source, Failure> {
        let directory = std::env::temp_dir();
        let keeping = || format!("keep {name} in {} while it is checked", directory.display());
        let mut file = tempfile::tempfile().map_err(|error| Failure::io(keeping(), &error))?;
        let mut buffer = vec![0; READ_BUFFER_BYTES];
        let mut size_bytes = 0;
        loop {
            let got = match input.read(&mut buffer) {
                Ok(0) => break,
                Ok(got) => got,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Failure::io(format_args!("read {name}"), &error)),
            };
            size_bytes += got as u64;
            if size_bytes > limit_bytes {
                return Err(Failure::data(format!(
                    "{name} holds more than {limit_bytes} bytes, the limit for input that is not a file \
                     (it is kept in {} until all of it is checked)",
                    directory.display()
                ))
                .remedy("write it to a file and import the file; files have no limit"));
            }
            file.write_all(&buffer[..got]).map_err(|error| Failure::io(keeping(), &error))?;
        }
        let gzip = is_gzip(&mut file).map_err(|error| Failure::io(format_args!("read {name} again"), &error))?;
        Ok(Source { name: name.to_owned(), place: Place::Spooled(file), size_bytes, gzip })
    }

    /// The name for messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The size as it lies on disk, in bytes.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Begins to read from the start, without a byte order mark.
    ///
    /// Errors: the file cannot be opened, has changed since it was first opened, or is UTF-16.
    pub(super) fn read(&self) -> Result<(Box<dyn BufRead + Send>, Position), Failure> {
        let failed = |error: io::Error| Failure::io(format_args!("read {}", self.name), &error);
        let file = match &self.place {
            Place::Spooled(file) => {
                let mut file = file.try_clone().map_err(failed)?;
                file.seek(SeekFrom::Start(0)).map_err(failed)?;
                file
            }
            Place::Path { path, modified } => {
                let file = File::open(path).map_err(failed)?;
                let meta = file.metadata().map_err(failed)?;
                if meta.len() != self.size_bytes || meta.modified().ok() != *modified {
                    return Err(self.changed());
                }
                file
            }
        };
        let position = Position::default();
        let counted = Counted { file, position: Arc::clone(&position) };
        let mut input: Box<dyn BufRead + Send> = if self.gzip {
            Box::new(BufReader::with_capacity(READ_BUFFER_BYTES, MultiGzDecoder::new(counted)))
        } else {
            Box::new(BufReader::with_capacity(READ_BUFFER_BYTES, counted))
        };
        self.pass_byte_order_mark(input.as_mut())?;
        Ok((input, position))
    }

    fn pass_byte_order_mark(&self, input: &mut dyn BufRead) -> Result<(), Failure> {
        let start = input.fill_buf().map_err(|error| self.unreadable(&error))?;
        if start.starts_with(&[0xef, 0xbb, 0xbf]) {
            input.consume(3);
        } else if start.starts_with(&[0xff, 0xfe]) || start.starts_with(&[0xfe, 0xff]) {
            return Err(Failure::data(format!("{} is UTF-16, not UTF-8", self.name))
                .remedy("convert it: iconv -f UTF-16 -t UTF-8 FILE"));
        }
        Ok(())
    }

    /// What a failed read in the middle means: a damaged archive is the file's fault, the rest the disk's.
    pub(super) fn unreadable(&self, error: &io::Error) -> Failure {
        let damaged = matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData);
        if self.gzip && (damaged || error.kind() == io::ErrorKind::UnexpectedEof) {
            return Failure::data(format!("{} is a damaged or incomplete gzip file: {error}", self.name))
                .remedy("fetch it again; gzip -t FILE tests it");
        }
        Failure::io(format_args!("read {}", self.name), error)
    }

    pub(super) fn changed(&self) -> Failure {
        Failure::data(format!("{} changed while it was being imported", self.name))
            .remedy("import it again when nothing writes to it; with --key, rows imported already are only updated")
    }
}

fn is_gzip(file: &mut File) -> io::Result<bool> {
    let mut magic = Vec::with_capacity(2);
    file.seek(SeekFrom::Start(0))?;
    Read::by_ref(file).take(2).read_to_end(&mut magic)?;
    Ok(magic == GZIP_MAGIC)
}

/// A file that tells how far it has been read.
struct Counted {
    file: File,
    position: Position,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.file.read(buffer)?;
        self.position.fetch_add(got as u64, Ordering::Relaxed);
        Ok(got)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(source: &Source) -> String {
        let mut text = String::new();
        source.read().unwrap().0.read_to_string(&mut text).unwrap();
        text
    }

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn an_input_can_be_read_twice_whatever_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.txt");
        // Two gzip members in one file are one text; a byte order mark inside counts as one too.
        let packed = [gzip("\u{feff}one ".as_bytes()), gzip(b"two")].concat();
        std::fs::write(&path, &packed).unwrap();
        for source in [Source::open(&path).unwrap(), Source::spool(packed.as_slice(), "pipe", 1000).unwrap()] {
            assert_eq!(text(&source), "one two");
            assert_eq!(text(&source), "one two");
            assert_eq!(source.size_bytes(), packed.len() as u64);
        }
        assert_eq!(text(&Source::spool(&b"\xef\xbb\xbfx"[..], "pipe", 10).unwrap()), "x");
        assert_eq!(text(&Source::spool(&b""[..], "pipe", 10).unwrap()), "");
    }

    #[test]
    fn a_pipe_beyond_the_limit_is_refused_naming_the_limit() {
        let failure = Source::spool(io::repeat(b'x').take(2000), "standard input", 1999).unwrap_err();
        assert_eq!(failure.code, Exit::Data);
        assert!(failure.message.contains("more than 1999 bytes"), "{failure}");
    }

    #[test]
    fn what_cannot_be_read_is_named_with_its_cause() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(Source::open(&directory.path().join("absent")).unwrap_err().code, Exit::NotFound);
        assert!(Source::open(directory.path()).unwrap_err().message.contains("is a directory"));
        let utf16 = Source::spool(&b"\xff\xfea\0"[..], "pipe", 10).unwrap();
        assert!(utf16.read().err().unwrap().message.contains("UTF-16"));
        let mut packed = gzip(b"some text that is long enough");
        packed.truncate(packed.len() - 10);
        let cut = Source::spool(packed.as_slice(), "pipe", 1000).unwrap();
        let error = cut
            .read()
            .and_then(|(mut input, _)| io::copy(&mut input, &mut io::sink()).map_err(|error| cut.unreadable(&error)));
        assert!(error.unwrap_err().message.contains("incomplete gzip"));
    }

    #[test]
    fn a_file_that_changes_between_the_passes_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.csv");
        std::fs::write(&path, "a\n1\n").unwrap();
        let source = Source::open(&path).unwrap();
        std::fs::write(&path, "a\n1\n2\n").unwrap();
        assert!(source.read().err().unwrap().message.contains("changed"));
    }
}
