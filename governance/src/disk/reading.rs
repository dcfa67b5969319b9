//! Files that are read as they are named: none of them makes the reader wait for ever, and none is read without an end.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags};

/// Opens a regular file to read it. A pipe, a folder or a device is an error that says so, and nobody waits for whoever is at a pipe's other end.
pub(crate) fn open_file(path: &Path) -> io::Result<File> {
    match open(path)? {
        (file, FileType::RegularFile) => Ok(file),
        (_, kind) => Err(io::Error::new(io::ErrorKind::InvalidInput, format!("it is {}, not a file", named(kind)))),
    }
}

/// The same for what a person named on the command line: a pipe, which ends where its writers do, and a terminal will do too. A pipe that nobody writes
/// to is empty.
#[cfg(feature = "cli")]
pub(crate) fn open_given(path: &Path) -> io::Result<File> {
    let (file, kind) = open(path)?;
    let may = match kind {
        FileType::RegularFile => return Ok(file),
        FileType::Fifo => true,
        _ => io::IsTerminal::is_terminal(&file),
    };
    if !may {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("it is {}, neither a file nor a pipe", named(kind))));
    }
    // From here on it is waited for, as for any pipe.
    let flags = rustix::fs::fcntl_getfl(&file)?;
    rustix::fs::fcntl_setfl(&file, flags.difference(OFlags::NONBLOCK))?;
    Ok(file)
}

/// Reads a regular file of at most so many bytes.
pub(crate) fn read_file(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    bounded(open_file(path)?, most)
}

/// Reads a regular file of at most so many bytes of text.
pub(crate) fn read_text(path: &Path, most: u64) -> io::Result<String> {
    text(read_file(path, most)?)
}

/// Reads at most so many bytes of text that a person named on the command line, also out of a pipe.
#[cfg(feature = "cli")]
pub(crate) fn read_given(path: &Path, most: u64) -> io::Result<String> {
    text(bounded(open_given(path)?, most)?)
}

/// Reads to the end, which must come within so many bytes.
pub(crate) fn bounded(source: impl Read, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // One byte more than is allowed tells a large one from one too large, without reading all of it.
    source.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it has more than {most} bytes, which is the most that is read")));
    }
    Ok(bytes)
}

fn text(bytes: Vec<u8>) -> io::Result<String> {
    String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8 text"))
}

fn open(path: &Path) -> io::Result<(File, FileType)> {
    let how = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let opened = rustix::fs::open(path, how, Mode::empty())?;
    let kind = FileType::from_raw_mode(rustix::fs::fstat(&opened)?.st_mode);
    Ok((opened.into(), kind))
}

fn named(kind: FileType) -> &'static str {
    match kind {
        FileType::Directory => "a folder",
        FileType::Fifo => "a pipe",
        FileType::Socket => "a socket",
        _ => "a device",
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use rustix::fs::CWD;

    use super::*;

    fn pipe(folder: &Path) -> std::path::PathBuf {
        let path = folder.join("pipe");
        rustix::fs::mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        path
    }

    #[test]
    fn only_a_file_is_read_and_only_so_far() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "12345").unwrap();
        std::os::unix::fs::symlink(&file, folder.path().join("link")).unwrap();
        assert_eq!(read_text(&folder.path().join("link"), 5).unwrap(), "12345");
        assert_eq!(read_text(&file, 4).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        std::fs::write(&file, b"\xff").unwrap();
        assert_eq!(read_text(&file, 5).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(read_file(&folder.path().join("none"), 5).unwrap_err().kind(), io::ErrorKind::NotFound);
        // Nobody is at the pipe's other end, and zeros have no end.
        for (path, says) in [(pipe(folder.path()), "a pipe"), (folder.path().into(), "a folder"), ("/dev/zero".into(), "a device")] {
            let error = read_file(&path, 5).unwrap_err();
            assert!(error.kind() == io::ErrorKind::InvalidInput && error.to_string().contains(says), "{error}");
        }
    }

    #[cfg(feature = "cli")]
    #[test]
    fn a_pipe_that_a_person_names_is_read_to_its_end_and_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = pipe(folder.path());
        assert_eq!(read_given(&path, 100).unwrap(), "", "nobody writes");
        // Its writer is there, and takes its time.
        let keeps = rustix::fs::open(&path, OFlags::RDWR | OFlags::NONBLOCK, Mode::empty()).unwrap();
        let slow = {
            let mut writer = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
            std::thread::spawn(move || {
                std::thread::sleep(std::time::Duration::from_millis(50));
                writer.write_all(b"late").unwrap();
                drop(keeps);
            })
        };
        assert_eq!(read_given(&path, 100).unwrap(), "late");
        slow.join().unwrap();
        for (path, says) in [(Path::new("/dev/zero"), "a device"), (folder.path(), "a folder")] {
            let error = read_given(path, 100).unwrap_err();
            assert!(error.to_string().contains(says), "{error}");
        }
    }
}
