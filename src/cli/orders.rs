//! Words and flags of `cairn order`, `cairn approve`, `cairn host` and `cairn proposal`.

use std::{path::PathBuf, str::FromStr};

use cairn_client::{read::Reference, waiting::ProposalRef};
use cairn_proto::name::{Environment, Label, Pattern};
use clap::{Args, Subcommand};

use super::{Origin, Sign, Target};

#[derive(Debug, Subcommand)]
pub(crate) enum OrderCommand {
    /// List every order that the admins ever gave, proven to be all there are.
    List,
    /// Order that contents are erased: their bytes go, what names them and every proof stay.
    Redact(Redact),
    /// Order that for a while fewer deployers are enough, or older proofs, in some environments.
    BreakGlass(BreakGlass),
    /// Order that other keys sign checkpoints from the next entry on.
    Succession(Succession),
}

/// Where an order goes, and who signs it at once.
#[derive(Debug, Clone, Args)]
pub(crate) struct OrderWords {
    /// Why; it is recorded.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) target: Target,
    /// Sign it with this key at once; may be given several times.
    #[arg(long = "key", value_name = "KEY")]
    pub(crate) keys: Vec<String>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Redact {
    /// Contents as `blake3:HEX`, or, with --from, names of artifacts.
    #[arg(required = true)]
    pub(crate) contents: Vec<String>,
    /// The release in which artifacts have those names.
    #[arg(long, value_name = "REF")]
    pub(crate) from: Option<Reference>,
    #[command(flatten)]
    pub(crate) words: OrderWords,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct BreakGlass {
    /// Where, such as `prod/**`.
    pub(crate) environments: Pattern,
    /// So many deployers are enough for a release that names the order with --break-glass.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=16))]
    pub(crate) approvals: Option<u8>,
    /// A proof may be so many seconds old.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=2_147_483_647))]
    pub(crate) max_staleness: Option<u64>,
    /// How long from now on, such as `90m`, `4h`, `2d`; at most 30 days.
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration)]
    pub(crate) lasts: u64,
    #[command(flatten)]
    pub(crate) words: OrderWords,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Succession {
    /// The new log key: its file, or the verifier key of it.
    #[arg(long, value_name = "KEY")]
    pub(crate) log_key: String,
    /// The new clock key: its file, or the verifier key of it.
    #[arg(long, value_name = "KEY")]
    pub(crate) clock_key: String,
    #[command(flatten)]
    pub(crate) words: OrderWords,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Approve {
    /// The release, which must be the environment's current one: `prod/shop#12`.
    pub(crate) release: ReleaseName,
    /// Why.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// Sign with this key instead of the context's; may be given several times.
    #[arg(long = "key", value_name = "KEY")]
    pub(crate) keys: Vec<String>,
    /// Sign without asking.
    #[arg(long)]
    pub(crate) yes: bool,
    /// Write a proposal for others to sign, instead of having it recorded.
    #[arg(short = 'o', value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Leave a proposal with the server for others to sign, instead of having it recorded.
    #[arg(long)]
    pub(crate) send: bool,
}

/// A release by its environment and sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReleaseName {
    pub(crate) environment: Environment,
    pub(crate) sequence: u64,
}

impl FromStr for ReleaseName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = || {
            let (environment, sequence) = text.split_once('#')?;
            Some(Self {
                environment: environment.parse().ok()?,
                sequence: sequence.parse().ok()?,
            })
        };
        parse().ok_or_else(|| "a release is named as prod/shop#12".to_owned())
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum HostCommand {
    /// Say that a host belongs to an environment, and what its key is.
    Enrol(Enrol),
    /// Say that a host belongs nowhere any more.
    Dismiss(Dismiss),
    /// Prove where a host is enrolled, and by whom, or that it never was.
    Show {
        /// Its key, as `cairn key show` prints it, or that key's id.
        host: String,
    },
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Enrol {
    /// Where it belongs.
    pub(crate) environment: Environment,
    /// Its public key, as `cairn key show` prints it.
    pub(crate) host_key: String,
    /// What people call it.
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Label,
    #[command(flatten)]
    pub(crate) words: HostWords,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Dismiss {
    /// Its key, as `cairn key show` prints it, or that key's id.
    pub(crate) host: String,
    #[command(flatten)]
    pub(crate) words: HostWords,
}

/// What is said of an enrolment.
#[derive(Debug, Clone, Args)]
pub(crate) struct HostWords {
    /// Why.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// Sign with this key instead of the context's; may be given several times.
    #[arg(long = "key", value_name = "KEY")]
    pub(crate) keys: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ProposalCommand {
    /// Show what an order or an approval says, and sign it.
    Sign(Sign),
    /// Have an order or an approval recorded that enough have signed.
    Submit {
        /// The proposal; several files are copies of one, signed apart.
        #[arg(required = true, value_name = "ID|FILE")]
        proposals: Vec<Origin>,
    },
    /// List the orders, approvals and enrolments that wait with the server for signatures.
    Pending {
        /// The environment of approvals; without it, all.
        environment: Option<Environment>,
    },
    /// Take a proposal away that the same token left with the server.
    Withdraw {
        /// The proposal.
        id: ProposalRef,
    },
}

/// Seconds of `90s`, `90m`, `4h`, `2d`.
fn parse_duration(text: &str) -> Result<u64, String> {
    let wrong = || "a number and s, m, h or d, such as 90m, 4h, 2d".to_owned();
    let unit = text.chars().next_back().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let number = text.strip_suffix(unit).ok_or_else(wrong)?;
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let all = number.checked_mul(seconds).filter(|all| *all > 0);
    all.ok_or_else(wrong)
}
