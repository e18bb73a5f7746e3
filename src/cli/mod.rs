//! What can be typed. Words, flags and help only: nothing is done here.

mod keys;
mod orders;
mod policy;
mod server;
mod systems;
mod watch;
mod witness;

use std::{ffi::OsString, path::PathBuf};

use cairn_client::read::Reference;
use cairn_proto::name::{ArtifactName, Environment};
use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use keys::{Key, SecretKey, TrustAdd, TrustCommand};
pub(crate) use orders::{
    Approve, HostCommand, HostWords, OrderCommand, ProposalCommand, Redact, Succession,
};
pub(crate) use policy::{Origin, PolicyCommand, ReleaseCommand, Sign, Target, When};
pub(crate) use server::{Demo, Dev, Init, Repair, Serve};
pub(crate) use systems::Systems;
pub(crate) use watch::Watch;
pub(crate) use witness::WitnessCommand;
#[cfg(feature = "server")]
pub(crate) use witness::WitnessServe;

/// A content-addressed configuration ledger for immutable infrastructure.
///
/// Records what an environment is made of, and proves later that what runs is a recorded,
/// never altered, current entry, signed by whom the policy allows.
#[derive(Debug, Parser)]
#[command(
    name = "cairn",
    version,
    max_term_width = 100,
    disable_help_subcommand = true
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags of every command.
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// How results are printed.
    #[arg(long, value_enum, default_value_t, global = true)]
    pub(crate) output: Format,
    /// Never ask anything: what would have to be asked is an error.
    #[arg(long, global = true)]
    pub(crate) no_input: bool,
    /// The context to use instead of the active one.
    #[arg(long, value_name = "NAME", global = true)]
    pub(crate) context: Option<String>,
}

/// How results are printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON document, with a `schema` that only grows.
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the main job on real input, in a temporary folder.
    Demo(Demo),
    /// Run a ledger for trying things out: keys, genesis and context are made at once.
    Dev(Dev),
    /// Make a ledger: server keys, a first policy and a signed genesis entry.
    Init(Init),
    /// Serve a ledger.
    Serve(Serve),
    /// Record what an environment is made of now.
    Record(Record),
    /// Run a deployment command, and record what it deployed.
    Run(Run),
    /// Prove that what is here is what is recorded, and current.
    Verify(Verify),
    /// Make an older release the newest one.
    Rollback(Rollback),
    /// End an environment, until it is released to again.
    Retire(Retire),
    /// Releases that several must sign: propose, approve, submit.
    #[command(subcommand)]
    Release(ReleaseCommand),
    /// Who may do what: shown, changed, and what it was.
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Stand up for an environment's current release, whose own signers no longer suffice.
    Approve(Approve),
    /// What admins order beside policies: erasures, emergencies, other log keys.
    #[command(subcommand)]
    Order(OrderCommand),
    /// Orders and approvals that several must sign: sign, submit.
    #[command(subcommand)]
    Proposal(ProposalCommand),
    /// Which hosts belong to which environment.
    #[command(subcommand)]
    Host(HostCommand),
    /// List an environment's releases, or all entries, newest first.
    Log(Log),
    /// List every step of an environment, proven to be all there are.
    History(History),
    /// Prove where and when a file, or a digest, was released first and last, or that it never
    /// was.
    Find(Find),
    /// Show a release, or where a digest was released.
    Show(Show),
    /// Compare two releases.
    Diff(Diff),
    /// Put a recorded file back.
    Restore(Restore),
    /// Write everything that proves the current release into one file.
    Export(Export),
    /// Rebuild a ledger's lost or damaged journal from an auditor's copy or another server.
    Repair(Repair),
    /// Check the whole history: every hash, signature, rule and map record.
    Audit(Audit),
    /// Tell of what others record: releases, keys in use, policies, a ledger that went silent.
    Watch(Watch),
    /// A witness of your own, for any C2SP log.
    #[command(subcommand)]
    Witness(WitnessCommand),
    /// Show the ledger in use and how fresh its checkpoint is.
    Status,
    /// Signing keys.
    #[command(subcommand)]
    Key(Key),
    /// Keys of withheld values.
    #[command(subcommand)]
    SecretKey(SecretKey),
    /// Which ledgers are trusted.
    #[command(subcommand)]
    Trust(TrustCommand),
    /// Explain a code, or a command.
    Help(Help),
    /// Print a completion script.
    #[command(name = "completion", alias = "completions")]
    Completions {
        /// For which shell.
        shell: clap_complete::Shell,
    },
    /// Write manual pages.
    Man {
        /// The directory to write to.
        directory: PathBuf,
    },
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Words {
    /// Why.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// The pipeline's run.
    #[arg(long, value_name = "ID")]
    pub(crate) run: Option<String>,
    /// Data of your own.
    #[arg(long = "annotate", value_name = "NAME=TEXT")]
    pub(crate) annotations: Vec<String>,
    /// Sign with this key instead of the context's; may be given several times.
    #[arg(long = "key", value_name = "KEY")]
    pub(crate) keys: Vec<String>,
    /// Then wait until enough of the pinned witnesses cosigned a checkpoint that has the entry, at
    /// most so many seconds; the entry is recorded whatever comes of that.
    #[arg(
        long,
        value_name = "SECONDS",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "30",
        value_parser = clap::value_parser!(u64).range(1..=86_400)
    )]
    pub(crate) witnessed: Option<u64>,
    /// Refuse unless this sequence is current now (0: none yet).
    #[arg(long, value_name = "N")]
    pub(crate) expect: Option<u64>,
    /// In an emergency: sign with fewer keys than the policy asks for, under this order of the
    /// admins. When it expires, the release must have been approved: `cairn approve`.
    #[arg(long, value_name = "LEAFHASH")]
    pub(crate) break_glass: Option<String>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Record {
    /// The environment, such as `prod/eu-1/shop`.
    pub(crate) environment: Environment,
    /// Files, directories and OCI image layouts; `NAME=PATH` names one explicitly.
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<OsString>,
    #[command(flatten)]
    pub(crate) what: What,
    #[command(flatten)]
    pub(crate) words: Words,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Run {
    /// The environment that the command deploys to.
    pub(crate) environment: Environment,
    #[command(flatten)]
    pub(crate) what: What,
    /// A file, directory or image layout that the command deploys; several if given several times.
    #[arg(long = "path", value_name = "PATH")]
    pub(crate) paths: Vec<OsString>,
    #[command(flatten)]
    pub(crate) words: Words,
    /// Record first. If the command then fails, what stood before is recorded again, with the
    /// exit code as the reason.
    #[arg(long)]
    pub(crate) before: bool,
    /// The command and its arguments, after `--`.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

/// What is recorded of what is there, and how it will be compared.
#[derive(Debug, Clone, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag that a person types"
)]
pub(crate) struct What {
    #[command(flatten)]
    pub(crate) systems: Systems,
    /// Make an entry even if nothing changed.
    #[arg(long)]
    pub(crate) again: bool,
    /// Store this artifact in plain though it looks like a secret.
    #[arg(long, value_name = "NAME")]
    pub(crate) store_plain: Vec<String>,
    /// Store the layers of images as well.
    #[arg(long)]
    pub(crate) store_layers: bool,
    /// Do not compare this field of an object, `ARTIFACT#/spec/replicas`, nor what is below it.
    #[arg(long, value_name = "ARTIFACT#POINTER")]
    pub(crate) ignore: Vec<String>,
    /// Do not compare permission bits of this artifact, or of all with `*`.
    #[arg(long, value_name = "NAME")]
    pub(crate) ignore_mode: Vec<String>,
    /// A withheld artifact or value that cannot be measured does not spoil VERIFIED.
    #[arg(long)]
    pub(crate) accept_unmeasured: bool,
    /// Give a name that stays the same bytes, such as an image's tag, to others, and say why.
    #[arg(long, value_name = "REASON")]
    pub(crate) allow_name_reuse: Option<String>,
    /// Withhold with a new key though an earlier release used another.
    #[arg(long)]
    pub(crate) new_secret_key: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Verify {
    /// The environment, then the files, directories and image layouts; with --bundle, paths only.
    #[arg(required = true, value_name = "ENV PATH")]
    pub(crate) words: Vec<OsString>,
    #[command(flatten)]
    pub(crate) systems: Systems,
    /// Verify against a bundle file, or against the bundle that is stapled to an image.
    #[arg(long, value_name = "FILE|oci:LAYOUT[:TAG]")]
    pub(crate) bundle: Option<PathBuf>,
    /// With --bundle: the environment that the bundle must be for.
    #[arg(long, value_name = "ENV", requires = "bundle")]
    pub(crate) environment: Option<Environment>,
    /// With --bundle: the trust file, as `cairn trust show --output json` prints it, instead
    /// of the context's.
    #[arg(long, value_name = "FILE", requires = "bundle")]
    pub(crate) trust: Option<PathBuf>,
    /// With --bundle: open no connection at all.
    #[arg(long, requires = "bundle")]
    pub(crate) offline: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Rollback {
    /// The environment.
    pub(crate) environment: Environment,
    /// The release to go back to: `ENV#12`, `ENV~1`.
    pub(crate) reference: Reference,
    #[command(flatten)]
    pub(crate) words: Words,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Retire {
    /// The environment.
    pub(crate) environment: Environment,
    #[command(flatten)]
    pub(crate) words: Words,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Log {
    /// The environment; without it, the whole log.
    pub(crate) environment: Option<Environment>,
    /// How many at most.
    #[arg(long, short = 'n', default_value_t = 20)]
    pub(crate) limit: usize,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct History {
    /// The environment.
    pub(crate) environment: Environment,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Find {
    /// A file, `sha256:...`, or the 64 digits alone.
    pub(crate) what: OsString,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Show {
    /// `ENV`, `ENV#12`, `ENV~1`, `ENV@2026-11-01T10:00Z`, `sha256:...`, `blake3:...`.
    pub(crate) reference: Reference,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Diff {
    /// What was before.
    pub(crate) from: Reference,
    /// What came after.
    pub(crate) to: Reference,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Restore {
    /// The release that has the file.
    pub(crate) reference: Reference,
    /// The artifact's name; of a tool's inputs, and with `--to -` of its objects, also what all of
    /// them begin with, such as `terraform/input/configuration` or `kubernetes`.
    pub(crate) name: ArtifactName,
    /// The directory to write below; `-` prints recorded objects for the tool to read.
    #[arg(long, value_name = "DIR")]
    pub(crate) to: PathBuf,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Export {
    /// The release; only an environment's current one can be proven current.
    pub(crate) reference: Reference,
    /// The file to write.
    #[arg(short = 'o', value_name = "FILE", required_unless_present = "staple")]
    pub(crate) file: Option<PathBuf>,
    /// Staple the bundle to an image of an OCI image layout, as a referrer: `LAYOUT:TAG`, or
    /// `LAYOUT` where it holds one image. The image's own files stay as they are.
    #[arg(long, value_name = "LAYOUT[:TAG]")]
    pub(crate) staple: Option<OsString>,
    /// Write a bare C2SP tlog-proof instead of a bundle: that the release's entry is in the log, and
    /// nothing of currency or of who may sign. Older releases have one too.
    #[arg(long, conflicts_with = "staple")]
    pub(crate) tlog_proof: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Audit {
    /// Forget an earlier audit's progress and read everything again.
    #[arg(long)]
    pub(crate) fresh: bool,
    /// Also write the report to this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// Vouch for the map: audit the checkpoint that the server has on offer, and cosign it with
    /// this key if nothing is wrong.
    #[arg(long, value_name = "KEY", requires = "name")]
    pub(crate) cosign: Option<String>,
    /// The auditor's name, such as `auditor.example/one`: its verifier key has it.
    #[arg(long = "as", value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Go on: audit again as the log grows.
    #[arg(long)]
    pub(crate) follow: bool,
    /// How often, with --follow.
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub(crate) interval: u64,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Help {
    /// A code such as `WRONG_SEQUENCE`, or a command.
    pub(crate) topic: Vec<String>,
}
