//! What is asked of the terminal and of the process itself.

use std::io::{self, BufRead as _, Write as _};

#[cfg(feature = "server")]
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::termios::{self, LocalModes, OptionalActions};
use zeroize::Zeroizing;

/// Asks for as many open files as are allowed: a store keeps one for each segment.
#[cfg(feature = "server")]
pub(crate) fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    // Where it is not allowed, the limit stays what it was.
    let _ = setrlimit(Resource::Nofile, raised);
}

/// Prompts on standard error and reads a line from the terminal without echo.
pub(crate) fn read_hidden(prompt: &str) -> io::Result<Zeroizing<String>> {
    let stdin = io::stdin();
    let before = termios::tcgetattr(&stdin)?;
    let mut hidden = before.clone();
    hidden.local_modes.remove(LocalModes::ECHO);
    // Before the prompt: what is typed as soon as it shows is neither seen nor thrown away.
    termios::tcsetattr(&stdin, OptionalActions::Flush, &hidden)?;
    let mut line = Zeroizing::new(String::new());
    let read = write!(io::stderr(), "{prompt} ").and_then(|()| stdin.lock().read_line(&mut line));
    // The terminal gets its echo back whatever was read.
    termios::tcsetattr(&stdin, OptionalActions::Flush, &before)?;
    writeln!(io::stderr())?;
    read?;
    let length = line.trim_end_matches(['\r', '\n']).len();
    line.truncate(length);
    Ok(line)
}
