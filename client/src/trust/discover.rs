//! Meeting a ledger for the first time: everything that it can prove about itself, for a
//! person to compare with what they were told.
//!
//! Invariant: what is returned hangs together (the genesis entry authenticates and names
//! the keys; the checkpoint is signed by them; the policies form one chain from it). That
//! it is the *right* ledger is for the person, or for a pinned genesis hash, to say.

use cairn_grpc::{LookupAnswer, v1};
use cairn_proto::{
    checkpoint::SignedCheckpoint,
    entry::{Content, Submission},
    hash::{Index, LeafHash},
    policy::Policy,
    rules::{PolicyChain, authenticate_genesis},
    statement::Predecessor,
    trust::Trust,
    verify::{Recorded, TrustedMap},
};

use super::succession::succeeded;
use crate::{connect::Connection, error::ClientError, ledger::policies, policies::anywhere};

/// A key as a person reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySummary {
    /// Its name in the policy.
    pub name: String,
    /// SHA-256 of it.
    pub keyid: String,
}

/// A deployer as a person reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeployerSummary {
    /// Who.
    pub key: KeySummary,
    /// What it may do.
    pub actions: Vec<&'static str>,
    /// Where.
    pub environments: Vec<String>,
}

/// What a ledger says of itself, for a person to confirm.
#[derive(Debug, Clone)]
pub struct TrustSummary {
    /// What would be pinned.
    pub trust: Trust,
    /// Entries under its newest checkpoint.
    pub size: u64,
    /// The policy in force: its version, admins, deployers and rules.
    pub policy: Policy,
    /// The ledger that was lost, if this one says that it continues it. What it says of that one
    /// is its admins' word.
    pub predecessor: Option<Predecessor>,
}

impl TrustSummary {
    /// The genesis hash in groups of four digits: it binds origin, keys and first policy.
    pub fn fingerprint(&self) -> String {
        let hex = self.trust.genesis().to_string();
        let groups = hex.as_bytes().chunks(4).map(String::from_utf8_lossy);
        groups.collect::<Vec<_>>().join(" ")
    }

    /// Who may change the policy.
    pub fn admins(&self) -> Vec<KeySummary> {
        let admins = self.policy.admins.iter();
        admins
            .map(|admin| KeySummary {
                name: admin.name.to_string(),
                keyid: admin.key.id().to_string(),
            })
            .collect()
    }

    /// Who may release, what and where.
    pub fn deployers(&self) -> Vec<DeployerSummary> {
        let deployers = self.policy.deployers.iter();
        deployers
            .map(|deployer| DeployerSummary {
                key: KeySummary {
                    name: deployer.name.to_string(),
                    keyid: deployer.key.id().to_string(),
                },
                actions: deployer
                    .actions
                    .iter()
                    .map(|action| action.as_str())
                    .collect(),
                environments: deployer
                    .environments
                    .iter()
                    .map(ToString::to_string)
                    .collect(),
            })
            .collect()
    }
}

/// Asks a server who it is, and has it prove what can be proven. With `pin`, only the
/// ledger of that genesis hash is accepted. `now`: Unix seconds.
pub async fn discover(
    connection: &Connection,
    pin: Option<&LeafHash>,
    now: u64,
) -> Result<TrustSummary, ClientError> {
    let said = connection.get_ledger(v1::GetLedgerRequest {}).await?;
    let first = v1::GetEntryRequest { index: 0, size: 0 };
    let entry = connection.get_entry(first).await?;
    let genesis = LeafHash::of(&entry.entry);
    if let Some(pin) = pin
        && genesis != *pin
    {
        return Err(ClientError::WrongGenesis {
            found: genesis.to_string(),
            pinned: pin.to_string(),
        });
    }
    let verify = |error: cairn_proto::rules::RuleError| ClientError::Verify(error.into());
    let submission = Submission::decode(&entry.entry, &entry.document)
        .map_err(|error| ClientError::Verify(error.into()))?;
    let signed = authenticate_genesis(submission).map_err(verify)?;
    let chain = PolicyChain::begin(&signed).map_err(verify)?;
    let trust = chain.identity().ok_or(cairn_proto::trust::KeysError)?;
    let told = (
        said.origin.as_str(),
        said.log_key.as_str(),
        said.clock_key.as_str(),
    );
    let trust = match SignedCheckpoint::parse(&entry.checkpoint)?.authenticate(&trust, now) {
        Ok(_) => trust,
        // Others took over from the keys that the genesis entry names, if the admins say so.
        Err(error) => {
            let followed = succeeded(connection, &trust, now).await;
            followed.map_err(|_| error)?
        }
    };
    let keys = (trust.log_key().to_string(), trust.clock_key().to_string());
    if told != (trust.origin().as_str(), keys.0.as_str(), keys.1.as_str())
        || said.genesis.as_ref() != genesis.as_bytes()
    {
        return Err(ClientError::Verify(
            cairn_proto::verify::VerifyError::WrongKeys,
        ));
    }
    let checkpoint = SignedCheckpoint::parse(&entry.checkpoint)?.authenticate(&trust, now)?;
    let inclusion = cairn_grpc::hashes(&entry.inclusion, "inclusion")?;
    Recorded::prove(&checkpoint, &entry.entry, Index(0), &inclusion)
        .map_err(ClientError::Verify)?;
    let (size, policy) = policy_in_force(connection, &trust, now).await?;
    let predecessor = match signed.submission().content() {
        Content::Genesis(genesis, _) => genesis.predecessor.clone(),
        _ => None,
    };
    Ok(TrustSummary {
        trust,
        size,
        policy,
        predecessor,
    })
}

/// The newest policy, by the chain that any lookup carries.
async fn policy_in_force(
    connection: &Connection,
    trust: &Trust,
    now: u64,
) -> Result<(u64, Policy), ClientError> {
    let request = v1::LookupRequest {
        environment: anywhere()?.to_string(),
        ..v1::LookupRequest::default()
    };
    let answer = LookupAnswer::try_from(connection.lookup(request).await?)?;
    let checkpoint = SignedCheckpoint::parse(&answer.checkpoint)?
        .authenticate(trust, now)?
        .trust_first();
    let evidence = &answer.evidence;
    let prove = || {
        let record = (&evidence.map_record, &evidence.map_record_inclusion);
        let map = TrustedMap::prove(&checkpoint, record.0, record.1)?;
        policies(&map, trust, evidence)
    };
    let chain = prove().map_err(ClientError::Verify)?;
    let size = checkpoint.head().size().0;
    Ok((size, chain.current().policy.clone()))
}
