//! Words and flags of `cairn key`, `cairn secret-key` and `cairn trust`.

use std::path::PathBuf;

use cairn_proto::{
    hash::LeafHash,
    name::{Environment, Label},
};
use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum Key {
    /// Make a signing key in a new file that only you can read, or on a token that it never leaves.
    New {
        /// The file, or a `pkcs11:` URI that names the token and, as object, the new key.
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Ask for a passphrase to encrypt it with.
        #[arg(long)]
        passphrase: bool,
    },
    /// Print the public half, as `cairn init --deployer` takes it.
    Show {
        /// A file, `agent:SHA256:...` or a `pkcs11:` URI; without it, the context's key.
        key: Option<String>,
        /// Print the verifier key of an auditor or witness of this name, as `cairn trust add --auditor`
        /// takes it.
        #[arg(long = "as", value_name = "NAME")]
        name: Option<String>,
    },
    /// List the Ed25519 keys on PKCS#11 tokens.
    #[cfg(feature = "pkcs11")]
    List {
        /// Which: a `pkcs11:` URI with the module, and as much else as you like. With a pin-source the
        /// keys that can sign; without one the public halves that everybody sees.
        #[arg(value_name = "URI")]
        uri: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum SecretKey {
    /// Make an environment's key before anything is recorded; `cairn record` makes one at first need.
    New {
        /// The environment.
        environment: Environment,
    },
    /// Print an environment's key, for its hosts and other pipelines.
    Export {
        /// The environment.
        environment: Environment,
    },
    /// Take an environment's key from a file, or from standard input with `-`.
    Import {
        /// The environment.
        environment: Environment,
        /// The file.
        file: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum TrustCommand {
    /// Pin a ledger, after showing what it is.
    Add(Box<TrustAdd>),
    /// Show what is pinned.
    Show {
        /// The trust file's name; without it, the context's.
        name: Option<Label>,
        /// Print log, witnesses and quorum as a C2SP tlog-policy file.
        #[arg(long)]
        tlog_policy: bool,
    },
    /// Fetch the newest checkpoint, link it to what was seen, and say who cosigned it and when.
    Check {
        /// Also put it to the witness at this URL, and say what that one saw. Its key must be
        /// pinned. May be given several times.
        #[arg(long = "ask", value_name = "URL")]
        ask: Vec<String>,
        /// Judge a file of evidence instead, with no network: what does it prove to who has the
        /// trust file alone?
        #[arg(long, value_name = "FILE", conflicts_with = "ask")]
        evidence: Option<PathBuf>,
    },
}

#[derive(Debug, Clone, Args)]
pub(crate) struct TrustAdd {
    /// Where the ledger answers.
    pub(crate) url: String,
    /// A name for it; its context is made active.
    #[arg(long, default_value = "default")]
    pub(crate) name: Label,
    /// Accept exactly this genesis and ask nothing.
    #[arg(long, value_name = "HASH")]
    pub(crate) genesis: Option<LeafHash>,
    /// The verifier key of an auditor; verdicts then need a map that auditors vouch for. May be
    /// given several times, also for a ledger that is trusted already.
    #[arg(long = "auditor", value_name = "VKEY")]
    pub(crate) auditors: Vec<String>,
    /// How many of the auditors it takes; without it, all of them.
    #[arg(long, value_name = "N", requires = "auditors")]
    pub(crate) auditor_quorum: Option<usize>,
    /// Let the named auditors replace those that are pinned, though one is dropped or fewer are
    /// asked for.
    #[arg(long, requires = "auditors")]
    pub(crate) replace_auditors: bool,
    /// The verifier key of a witness; verdicts then need a checkpoint that witnesses cosigned. May
    /// be given several times, also for a ledger that is trusted already.
    #[arg(long = "witness", value_name = "VKEY", conflicts_with = "tlog_policy")]
    pub(crate) witnesses: Vec<String>,
    /// How many of the witnesses it takes; without it, all of them.
    #[arg(long, value_name = "N", requires = "witnesses")]
    pub(crate) witness_quorum: Option<usize>,
    /// Take witnesses and quorum from a C2SP tlog-policy file, which must accept this log.
    #[arg(long, value_name = "FILE")]
    pub(crate) tlog_policy: Option<PathBuf>,
    /// Let the named witnesses replace those that are pinned, though one is dropped or fewer are
    /// asked for.
    #[arg(long)]
    pub(crate) replace_witnesses: bool,
    /// The key that records in this context.
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<String>,
    /// A file with a bearer token.
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// The only certificate authorities to accept.
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// Allow http:// to another machine.
    #[arg(long)]
    pub(crate) plaintext: bool,
}
