//! A program in the background, killed by its id when dropped.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::{Child, ChildStdout, Command, Stdio},
};

/// A server that has said where it answers.
pub(crate) struct Background {
    child: Child,
    /// Read from for as long as the server lives: it must not meet a broken pipe.
    lines: BufReader<ChildStdout>,
    pub(crate) url: String,
}

impl Background {
    /// Starts it and waits for the line that begins with a word and then says where.
    pub(crate) fn start(command: &mut Command, word: &str) -> Self {
        let piped = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().unwrap();
        let mut started = Self {
            lines: BufReader::new(child.stdout.take().unwrap()),
            child,
            url: String::new(),
        };
        loop {
            let line = started.line();
            let mut words = line.split_whitespace();
            if words.next() == Some(word) {
                words.next().unwrap().clone_into(&mut started.url);
                return started;
            }
            if line.is_empty() {
                let mut said = String::new();
                let mut stderr = started.child.stderr.take().unwrap();
                stderr.read_to_string(&mut said).unwrap();
                panic!("it ended: {said}");
            }
        }
    }

    /// The next line that it prints; empty when it ended.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line
    }

    pub(crate) fn is_alive(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(Some(_)))
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // Nothing to do if it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
