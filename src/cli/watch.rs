//! Words and flags of `cairn watch`.

use cairn_proto::{
    hash::Index,
    name::{Label, Pattern},
};
use clap::Args;

#[derive(Debug, Clone, Args)]
pub(crate) struct Watch {
    /// Releases to these environments: `prod/eu/shop`, `prod/**`. Without any pattern or --key,
    /// everything that is recorded.
    pub(crate) patterns: Vec<Pattern>,
    /// Whatever this key signs: its name in the policy, its keyid, or as `cairn key show` prints
    /// it. May be given several times.
    #[arg(long = "key", value_name = "KEY")]
    pub(crate) keys: Vec<String>,
    /// Run this with `sh -c` for each event, which it is given as JSON on standard input. If it
    /// fails it is run again, and then the watch ends: no event is passed over.
    #[arg(long, value_name = "COMMAND")]
    pub(crate) exec: Option<String>,
    /// Send each event as JSON to this URL. What is not answered with a status of 200 to 299 is sent
    /// again, and then the watch ends: no event is passed over.
    #[arg(long, value_name = "URL", conflicts_with = "exec")]
    pub(crate) webhook: Option<String>,
    /// An event of its own if the ledger shows no checkpoint younger than this.
    #[arg(long, value_name = "SECONDS")]
    pub(crate) silent_after: Option<u64>,
    /// Begin at this entry; otherwise where the last run ended, and at first with what is new.
    #[arg(long, value_name = "INDEX")]
    pub(crate) from: Option<u64>,
    /// A watch of its own, which remembers for itself where it is.
    #[arg(long, default_value = "default")]
    pub(crate) name: Label,
    /// How often to look.
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    pub(crate) interval: u64,
    /// Tell of what is there, and end.
    #[arg(long)]
    pub(crate) once: bool,
}

impl Watch {
    /// Where to begin, if that was said.
    pub(crate) fn from(&self) -> Option<Index> {
        self.from.map(Index)
    }
}
