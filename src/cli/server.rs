//! Words and flags of what runs, makes or mends a ledger.

use std::{net::SocketAddr, path::PathBuf};

use cairn_proto::name::Origin;
use clap::Args;

#[derive(Debug, Clone, Args)]
pub(crate) struct Demo {
    /// Keep the folder instead of deleting it.
    #[arg(long)]
    pub(crate) keep: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Dev {
    /// Where the ledger's data and throwaway keys are.
    #[arg(long, value_name = "DIR", default_value = "./.cairn-dev")]
    pub(crate) data: PathBuf,
    /// Where to listen; port 0 takes a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7443")]
    pub(crate) listen: SocketAddr,
    /// The verifier key of an auditor whose cosignatures are taken, as `cairn key show --as`
    /// prints it; may be given several times.
    #[arg(long = "auditor", value_name = "VKEY")]
    pub(crate) auditors: Vec<String>,
    /// A witness that is asked to cosign: where it answers, and its verifier key; may be given
    /// several times.
    #[arg(long = "witness", value_name = "URL=VKEY")]
    pub(crate) witnesses: Vec<String>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Init {
    /// The ledger's name for ever, such as `ledger.example/prod`.
    #[arg(long)]
    pub(crate) origin: Origin,
    /// The data directory to make.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// An admin's key, who may change the policy; the first signs the genesis entry. A file,
    /// `agent:SHA256:...` or a `pkcs11:` URI.
    #[arg(long = "admin", value_name = "NAME=KEY", required = true)]
    pub(crate) admins: Vec<String>,
    /// How many admins a new policy takes.
    #[arg(long, default_value_t = 1)]
    pub(crate) threshold: usize,
    /// A deployer: a name, the public key that `cairn key show` prints, and where it may
    /// release.
    #[arg(long = "deployer", value_name = "NAME=PUBLIC:PATTERN[,PATTERN]")]
    pub(crate) deployers: Vec<String>,
    /// How many deployers must sign for the environments of a pattern.
    #[arg(long = "approvals", value_name = "PATTERN=COUNT")]
    pub(crate) approvals: Vec<String>,
    /// Seconds after which a proof for the environments of a pattern is stale.
    #[arg(long = "max-staleness", value_name = "PATTERN=SECONDS")]
    pub(crate) max_staleness: Vec<String>,
    /// How many of the witnesses that a verifier pins must have cosigned a proof for the
    /// environments of a pattern; a verifier's own quorum may be larger.
    #[arg(long = "witnesses", value_name = "PATTERN=COUNT")]
    pub(crate) witnesses: Vec<String>,
    /// Continue a ledger that was lost: its last known checkpoint, such as the file of that name in an
    /// auditor's copy. It stands in the genesis entry for everybody to see.
    #[arg(long, value_name = "FILE")]
    pub(crate) predecessor: Option<PathBuf>,
    /// The log key, instead of a new file: a `pkcs11:` URI of a key that only the server can use.
    #[arg(long, value_name = "KEY")]
    pub(crate) log_key: Option<String>,
    /// The clock key, likewise; another one.
    #[arg(long, value_name = "KEY")]
    pub(crate) clock_key: Option<String>,
    /// Where to listen, for the configuration that is written.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7443")]
    pub(crate) listen: SocketAddr,
    /// Where to put the anchor; best on another disk.
    #[arg(long, value_name = "FILE")]
    pub(crate) anchor: Option<PathBuf>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Serve {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Accept this head where the anchor is missing or unreadable: only what the store holds,
    /// and only if no witness and no client has seen more.
    #[arg(long, value_name = "SIZE:ROOT")]
    pub(crate) accept_head: Option<String>,
    /// The order, signed by enough admins, by which the configured keys take over from those before:
    /// needed for the first start with them.
    #[arg(long, value_name = "FILE")]
    pub(crate) succession: Option<PathBuf>,
}

/// What is said of a new entry.
#[derive(Debug, Clone, Args)]
pub(crate) struct Repair {
    /// The settings of the ledger, which must not be running.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// The copy: a directory such as `cairn audit` keeps, or the URL of a server that has the log.
    #[arg(long, value_name = "URL|DIR")]
    pub(crate) from: String,
    /// The copy's head, in the place of an anchor that is lost: only if nothing newer was ever given
    /// out.
    #[arg(long, value_name = "SIZE:ROOT")]
    pub(crate) accept_head: Option<String>,
}
