//! Words and flags of `cairn policy` and `cairn release`.

use std::{path::PathBuf, str::FromStr};

use cairn_client::waiting::ProposalRef;
use cairn_proto::{hash::Index, name::Environment};
use clap::{Args, Subcommand};

use super::Record;

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Print a policy as a file that can be edited and proposed.
    Show {
        /// The version; without it, the one in force.
        version: Option<u64>,
        /// Write it to this file.
        #[arg(short = 'o', value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// List every version: since when, by whom, and what it changed.
    History,
    /// Print who could do what at some place or time.
    At {
        /// An entry's index, or a time: `1234`, `@2026-11-01T10:00Z`.
        when: When,
    },
    /// Propose the policy that a file holds as the next one.
    Propose(PolicyPropose),
    /// Propose a policy that is the current one without a key, which then never comes back.
    Revoke(PolicyRevoke),
    /// Show what a proposal changes, and sign it.
    Sign(Sign),
    /// Have a proposal recorded that enough admins signed.
    Submit {
        /// The proposal; several files are copies of one, signed apart.
        #[arg(required = true, value_name = "ID|FILE")]
        proposals: Vec<Origin>,
    },
    /// List the policies that wait with the server for signatures.
    Pending,
    /// Take a proposal away that the same token left with the server.
    Withdraw {
        /// The proposal.
        id: ProposalRef,
    },
}

#[derive(Debug, Clone, Args)]
pub(crate) struct PolicyPropose {
    /// The edited policy.
    pub(crate) policy: PathBuf,
    #[command(flatten)]
    pub(crate) target: Target,
    /// Sign it with this key at once; may be given several times.
    #[arg(long = "key", value_name = "KEY")]
    pub(crate) keys: Vec<String>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct PolicyRevoke {
    /// The key: its name in the policy, or as `cairn key show` prints it.
    pub(crate) key: String,
    /// The first entry that the key may have been abused for: its signatures on that one and
    /// later ones count for nothing. Without it, what it signed stands.
    #[arg(long, value_name = "INDEX")]
    pub(crate) since: Option<u64>,
    /// Why.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    #[command(flatten)]
    pub(crate) target: Target,
    /// Sign it with this key at once; may be given several times.
    #[arg(long = "key", value_name = "KEY")]
    pub(crate) keys: Vec<String>,
}

/// Where a proposal goes.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = true)]
pub(crate) struct Target {
    /// Write the proposal to this file, to be handed on.
    #[arg(short = 'o', value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Leave the proposal with the server, where whoever else must sign finds it. It must be signed
    /// by one already, and it expires.
    #[arg(long)]
    pub(crate) send: bool,
}

/// Where a proposal comes from. What could be an id is one; a file of such a name is `./NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// It waits with the server.
    Waiting(ProposalRef),
    /// A file.
    File(PathBuf),
}

impl Origin {
    /// Where a signed copy goes back to.
    pub(crate) fn target(&self) -> Target {
        match self {
            Self::Waiting(_) => Target {
                file: None,
                send: true,
            },
            Self::File(file) => Target {
                file: Some(file.clone()),
                send: false,
            },
        }
    }
}

impl FromStr for Origin {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(text
            .parse()
            .map_or_else(|_| Self::File(text.into()), Self::Waiting))
    }
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Sign {
    /// The proposal: the id of one that waits with the server, or a file. The signature is added
    /// to it there.
    #[arg(value_name = "ID|FILE")]
    pub(crate) proposal: Origin,
    /// If it is signed by enough then, have it recorded at once.
    #[arg(long)]
    pub(crate) submit: bool,
    /// Sign with this key instead of the context's; may be given several times.
    #[arg(long = "key", value_name = "KEY")]
    pub(crate) keys: Vec<String>,
    /// Sign without asking.
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ReleaseCommand {
    /// Upload what an environment is to be made of, and make a proposal signed by one.
    Propose {
        #[command(flatten)]
        record: Box<Record>,
        #[command(flatten)]
        target: Target,
    },
    /// Show what a proposal changes, and sign it.
    Approve(Sign),
    /// Have a proposal recorded that enough deployers signed.
    Submit {
        /// The proposal; several files are copies of one, signed apart.
        #[arg(required = true, value_name = "ID|FILE")]
        proposals: Vec<Origin>,
    },
    /// List the releases that wait with the server for signatures.
    Pending {
        /// The environment; without it, all.
        environment: Option<Environment>,
    },
    /// Take a proposal away that the same token left with the server.
    Withdraw {
        /// The proposal.
        id: ProposalRef,
    },
}

/// A place in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// Before the entry at this index.
    Index(Index),
    /// At this time, Unix seconds.
    Time(u64),
}

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "an entry's index, or a time such as @2026-11-01T10:00Z".to_owned();
        match text.strip_prefix('@') {
            Some(time) => cairn_client::clock::parse_time(time)
                .map(Self::Time)
                .ok_or_else(wrong),
            None => text
                .parse()
                .map(|index| Self::Index(Index(index)))
                .map_err(|_| wrong()),
        }
    }
}
