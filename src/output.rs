//! Where words go: results to standard output, everything else to standard error.
//!
//! A reader that went away ends the program quietly, and is no success: a verdict that nobody
//! read was not given.

use std::io::{self, IsTerminal as _, Write as _};

use cairn_client::{record::UploadProgress, sources::Progress};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::cli::Format;

/// Exit code where nobody reads any more: that of a broken pipe, as shells count.
const EXIT_UNREAD: i32 = 141;

fn print(text: &str) {
    let mut out = anstream::stdout().lock();
    printed(writeln!(out, "{text}").and_then(|()| out.flush()));
}

/// Bytes of the result as they are, and the end of a line.
pub(crate) fn write_raw(bytes: &[u8]) {
    let mut out = io::stdout().lock();
    let written = out.write_all(bytes).and_then(|()| out.write_all(b"\n"));
    printed(written.and_then(|()| out.flush()));
}

fn printed(written: io::Result<()>) {
    match written {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(EXIT_UNREAD),
        // What was not said was not done: nobody may go on as if it had been.
        Err(error) => {
            complain(format!("error: cannot write the result: {error}"));
            std::process::exit(1);
        }
    }
}

/// One line to standard error.
pub(crate) fn complain(text: impl AsRef<str>) {
    let _ = writeln!(anstream::stderr().lock(), "{}", text.as_ref());
}

/// How a command talks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    format: Format,
    /// Whether standard output is another's: lines for people go to standard error.
    aside: bool,
}

impl Output {
    pub(crate) fn new(format: Format) -> Self {
        Self {
            format,
            aside: false,
        }
    }

    /// The same for a command whose standard output is that of another program.
    pub(crate) fn aside(self) -> Self {
        Self {
            aside: true,
            ..self
        }
    }

    pub(crate) fn is_json(self) -> bool {
        self.format == Format::Json
    }

    /// A line of the result, for people.
    pub(crate) fn line(self, text: impl AsRef<str>) {
        match (self.is_json(), self.aside) {
            (true, _) => {}
            (false, true) => complain(text),
            (false, false) => print(text.as_ref()),
        }
    }

    /// A line of the result that begins with a word: `  Recorded  staging#1`.
    pub(crate) fn fact(self, word: &str, text: impl std::fmt::Display) {
        self.line(format!("  {word:<9} {text}"));
    }

    /// The result, for scripts.
    pub(crate) fn json(self, document: &impl Serialize) {
        if self.is_json() {
            let text = serde_json::to_string(document).unwrap_or_default();
            if self.aside {
                complain(text);
            } else {
                print(&text);
            }
        }
    }
}

/// A count with its noun: `1 file`, `14 files`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        number => format!("{number} {noun}s"),
    }
}

/// Bars on a terminal, nothing elsewhere.
pub(crate) struct Bars {
    reading: ProgressBar,
    sending: ProgressBar,
}

impl Bars {
    pub(crate) fn new(output: Output) -> Self {
        let shown = !output.is_json() && io::stderr().is_terminal();
        let bar = |what: &'static str| {
            let target = if shown {
                ProgressDrawTarget::stderr()
            } else {
                ProgressDrawTarget::hidden()
            };
            let template = "  {msg:<9} {bar:32} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
            let style = ProgressStyle::with_template(template);
            let bar = ProgressBar::with_draw_target(Some(0), target).with_message(what);
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar
        };
        Self {
            reading: bar("Reading"),
            sending: bar("Sending"),
        }
    }

    pub(crate) fn done(&self) {
        self.reading.finish_and_clear();
        self.sending.finish_and_clear();
    }
}

impl Progress for Bars {
    fn planned(&self, _: usize, bytes: u64) {
        self.reading.inc_length(bytes);
    }

    fn read(&self, bytes: usize) {
        self.reading.inc(bytes as u64);
    }
}

impl UploadProgress for Bars {
    fn upload_planned(&self, _: usize, bytes: u64) {
        self.reading.finish_and_clear();
        self.sending.inc_length(bytes);
    }

    fn upload_sent(&self, bytes: u64) {
        self.sending.inc(bytes);
    }
}
