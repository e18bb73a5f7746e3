//! Keys in an ssh-agent: the private half stays there.
//!
//! Invariant: a signature that comes back was verified with the key that was asked for.

use std::{
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};

use cairn_proto::key::{PublicKey, SignError, Signer};
use ssh_agent_client_rs::{Client, Identity};

use super::KeyError;

/// How long an agent may take: a person may have to touch a token or confirm.
const PATIENCE: Duration = Duration::from_mins(2);

/// A key that an agent holds. A connection lasts for one request.
pub(super) struct AgentSigner {
    socket: PathBuf,
    identity: Identity<'static>,
    public_key: PublicKey,
}

impl AgentSigner {
    /// Finds the Ed25519 key of a fingerprint as `ssh-add -l` prints it.
    pub(super) fn open(socket: &Path, fingerprint: &str) -> Result<Self, KeyError> {
        let failed = |error: ssh_agent_client_rs::Error| KeyError::Agent {
            why: error.to_string(),
        };
        let identities = connect(socket)
            .and_then(|mut agent| agent.list_all_identities())
            .map_err(failed)?;
        for identity in identities {
            let Identity::PublicKey(key) = &identity else {
                continue; // A certificate's key signs under its own fingerprint.
            };
            if key.fingerprint(ssh_key_sha256()).to_string() != fingerprint {
                continue;
            }
            let bytes = key.key_data().ed25519().ok_or(KeyError::NotEd25519)?.0;
            return Ok(Self {
                socket: socket.to_owned(),
                public_key: PublicKey::parse(&bytes).map_err(|_| KeyError::Weak)?,
                identity,
            });
        }
        Err(KeyError::NotInAgent {
            fingerprint: fingerprint.to_owned(),
        })
    }
}

/// The default of `ssh-key`'s type for hashes, which that crate's users cannot name: SHA-256.
fn ssh_key_sha256<T: Default>() -> T {
    T::default()
}

fn connect(socket: &Path) -> ssh_agent_client_rs::Result<Client> {
    let stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(Client::with_read_write(Box::new(stream)))
}

impl Signer for AgentSigner {
    fn public_key(&self) -> PublicKey {
        self.public_key
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
        let signature = connect(&self.socket)
            .and_then(|mut agent| agent.sign_with_ref(&self.identity, message))
            .map_err(|error| SignError(format!("ssh-agent: {error}")))?;
        let bytes: [u8; 64] = signature
            .as_bytes()
            .try_into()
            .map_err(|_| SignError("ssh-agent: the signature has the wrong length".into()))?;
        self.public_key
            .verify(message, &bytes)
            .map_err(|_| SignError("ssh-agent: the signature does not verify".into()))?;
        Ok(bytes)
    }
}
