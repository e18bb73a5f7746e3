//! Words and flags of `cairn witness`.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum WitnessCommand {
    /// Cosign checkpoints of logs, each only if it extends the one before (C2SP tlog-witness).
    Serve(WitnessServe),
}

#[derive(Debug, Clone, Args)]
pub(crate) struct WitnessServe {
    /// What was cosigned last of each log is kept here. Whoever loses it has lost the witness.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// The witness's key, used for nothing else: a file, `agent:SHA256:...` or a `pkcs11:`
    /// URI.
    #[arg(long, value_name = "KEY")]
    pub(crate) key: String,
    /// The witness's name, such as `witness.example/one`: its verifier key has it.
    #[arg(long = "as", value_name = "NAME")]
    pub(crate) name: String,
    /// The verifier key of a log, named by its origin; may be given several times.
    #[arg(long = "log", value_name = "VKEY", required = true)]
    pub(crate) logs: Vec<String>,
    /// Where to listen; port 0 takes a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7444")]
    pub(crate) listen: SocketAddr,
    /// Begin: this witness never cosigned anything.
    #[arg(long)]
    pub(crate) new: bool,
}
