//! Whose settings, which account, which region: as AWS's files and variables say.
//!
//! Invariant: what was named is there. The SDK warns of a profile that is not, or of a file that
//! it cannot read, and asks as whoever else it can be: a machine's role, in another account.

use std::time::Duration;

use aws_config::{BehaviorVersion, SdkConfig, profile, timeout::TimeoutConfig};
use aws_runtime::env_config::file::EnvConfigFiles;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_types::{
    os_shim_internal::{Env, Fs},
    service_config::ServiceConfigKey,
};

use crate::{connect::causes, detail::printable, sources::SourceError};

/// How long AWS may take to connect, to be silent, and to answer with all that is tried again.
const PATIENCE: [Duration; 3] = [
    Duration::from_secs(10),
    Duration::from_mins(1),
    Duration::from_mins(2),
];
/// Variables that name a profile: the second is the older one, which the command line knows too.
const PROFILE: [&str; 2] = ["AWS_PROFILE", "AWS_DEFAULT_PROFILE"];

/// Reads them.
pub(super) async fn load(http: SharedHttpClient) -> Result<SdkConfig, SourceError> {
    let [connect, read, whole] = PATIENCE;
    let patience = TimeoutConfig::builder()
        .connect_timeout(connect)
        .read_timeout(read)
        .operation_timeout(whole)
        .build();
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .http_client(http)
        .timeout_config(patience);
    if let Some(name) = profile().await? {
        loader = loader.profile_name(name);
    }
    let config = loader.load().await;
    if config.region().is_none() {
        return Err(wrong(
            "no region is set: AWS_REGION names one, or the profile in use",
        ));
    }
    Ok(config)
}

/// The endpoint of one's own that a service has, by the name of its section in AWS's files: one
/// that the settings name for it, or for all.
pub(super) fn endpoint(config: &SdkConfig, service: &str) -> Option<String> {
    let key = ServiceConfigKey::builder()
        .service_id(service)
        .env("AWS_ENDPOINT_URL")
        .profile("endpoint_url");
    let named = config.service_config()?.load_config(key.build().ok()?);
    named.or_else(|| config.endpoint_url().map(str::to_owned))
}

/// The profile that was named, which is there.
async fn profile() -> Result<Option<String>, SourceError> {
    let named = PROFILE.map(|name| std::env::var(name).ok().filter(|name| !name.is_empty()));
    let name = match named {
        [Some(one), Some(other)] if one != other => {
            return Err(wrong(
                "AWS_PROFILE and AWS_DEFAULT_PROFILE name two profiles",
            ));
        }
        [one, other] => one.or(other),
    };
    let (fs, env) = (Fs::real(), Env::real());
    let set = profile::load(&fs, &env, &EnvConfigFiles::default(), None).await;
    let set = set.map_err(|error| wrong(&causes(&error)))?;
    match name {
        Some(name) if set.get_profile(&name).is_none() => {
            Err(wrong(&format!("there is no profile {name}")))
        }
        name => Ok(name),
    }
}

fn wrong(why: &str) -> SourceError {
    SourceError::Input {
        what: "AWS".to_owned(),
        why: printable(why),
    }
}
