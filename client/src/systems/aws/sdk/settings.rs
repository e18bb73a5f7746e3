//! Whose settings, which account, which region: as AWS's files and variables say.
//!
//! Invariant: what was named is there, and nobody else is asked in its place. The SDK warns of a
//! profile that is not there, or that it cannot make use of, or of a file that it cannot read, and
//! asks as whoever else it can be: a machine's role, in another account.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    time::Duration,
};

use aws_config::{
    BehaviorVersion, Region, SdkConfig,
    profile::{self, Profile, ProfileFileCredentialsProvider},
    provider_config::ProviderConfig,
    timeout::TimeoutConfig,
};
use aws_runtime::env_config::file::EnvConfigFiles;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_types::{
    os_shim_internal::{Env, Fs},
    service_config::ServiceConfigKey,
};

use crate::{
    connect::causes,
    detail::printable,
    sources::{SourceError, shown},
};

/// How long AWS may take to connect, to be silent, and to answer with all that is tried again.
const PATIENCE: [Duration; 3] = [
    Duration::from_secs(10),
    Duration::from_mins(1),
    Duration::from_mins(2),
];
/// Variables that name a profile: the second is the older one, which the command line knows too.
const PROFILE: [&str; 2] = ["AWS_PROFILE", "AWS_DEFAULT_PROFILE"];
/// Variables that name a region, the first that is set.
const REGION: [&str; 2] = ["AWS_REGION", "AWS_DEFAULT_REGION"];
/// Variables that name a file, and where it is without them.
const FILES: [(&str, &str); 2] = [
    ("AWS_CONFIG_FILE", ".aws/config"),
    ("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials"),
];
/// Members of a profile that say who it is.
const WHO: [&str; 9] = [
    "aws_access_key_id",
    "credential_process",
    "credential_source",
    "login_session",
    "role_arn",
    "source_profile",
    "sso_session",
    "sso_start_url",
    "web_identity_token_file",
];

/// Reads them.
pub(super) async fn load(http: SharedHttpClient) -> Result<SdkConfig, SourceError> {
    let [connect, read, whole] = PATIENCE;
    let patience = TimeoutConfig::builder()
        .connect_timeout(connect)
        .read_timeout(read)
        .operation_timeout(whole)
        .build();
    let (name, profile) = profile().await?;
    let region = variable(REGION)?.or_else(|| Some(profile.as_ref()?.get("region")?.to_owned()));
    let region = region
        .ok_or_else(|| wrong("no region is set: AWS_REGION names one, or the profile in use"))?;
    let region = Region::new(region);
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .http_client(http.clone())
        .timeout_config(patience)
        .region(region.clone())
        .profile_name(&name);
    if !in_variables()? && profile.as_ref().is_some_and(says_who) {
        let settings = ProviderConfig::without_region()
            .with_region(Some(region))
            .with_http_client(http);
        let own = ProfileFileCredentialsProvider::builder().configure(&settings);
        loader = loader.credentials_provider(own.profile_name(&name).build());
    }
    Ok(loader.load().await)
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

/// The profile in use: the one that was named, which is there, or the default one, if it is.
async fn profile() -> Result<(String, Option<Profile>), SourceError> {
    let named = match PROFILE.map(|name| variable([name])) {
        [Ok(Some(one)), Ok(Some(other))] if one != other => {
            return Err(wrong(
                "AWS_PROFILE and AWS_DEFAULT_PROFILE name two profiles",
            ));
        }
        [one, other] => one?.or(other?),
    };
    for (variable, usual) in FILES {
        readable(variable, usual)?;
    }
    let (fs, env) = (Fs::real(), Env::real());
    let set = profile::load(&fs, &env, &EnvConfigFiles::default(), None).await;
    let set = set.map_err(|error| wrong(&causes(&error)))?;
    let name = named.clone().unwrap_or_else(|| "default".to_owned());
    let profile = set.get_profile(&name).cloned();
    if named.is_some() && profile.is_none() {
        return Err(wrong(&format!("there is no profile {name}")));
    }
    Ok((name, profile))
}

/// Whether variables say who it is: all of it, or nothing.
fn in_variables() -> Result<bool, SourceError> {
    let told = |name: &str| env::var(name).is_ok_and(|value| !value.trim().is_empty());
    let [key, secret, token] = [
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
    ]
    .map(told);
    if key != secret || (token && !key) {
        return Err(wrong(
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY go together, and one is missing",
        ));
    }
    Ok(key)
}

fn says_who(profile: &Profile) -> bool {
    WHO.iter().any(|member| profile.get(member).is_some())
}

/// The first of some variables that is set; one that says nothing is an error.
fn variable<const N: usize>(names: [&str; N]) -> Result<Option<String>, SourceError> {
    for name in names {
        match env::var(name) {
            Ok(value) if value.is_empty() => return Err(wrong(&format!("{name} is empty"))),
            Ok(value) => return Ok(Some(value)),
            Err(env::VarError::NotPresent) => {}
            Err(error) => return Err(wrong(&format!("{name}: {error}"))),
        }
    }
    Ok(None)
}

/// That a file of settings can be read, if it is there, or was named.
fn readable(variable: &str, usual: &str) -> Result<(), SourceError> {
    let home = || env::var_os("HOME").map(PathBuf::from);
    let named = env::var_os(variable).filter(|path| !path.is_empty());
    let below = |path: &OsString| {
        let below = Path::new(path).strip_prefix("~").ok()?;
        Some(home()?.join(below))
    };
    let path = match &named {
        Some(path) => Some(below(path).unwrap_or_else(|| path.into())),
        None => home().map(|home| home.join(usual)),
    };
    let Some(path) = path else { return Ok(()) };
    match std::fs::read_to_string(&path) {
        Ok(_) => Ok(()),
        Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(wrong(&format!("cannot read {}: {error}", shown(&path)))),
    }
}

fn wrong(why: &str) -> SourceError {
    SourceError::Input {
        what: "AWS".to_owned(),
        why: printable(why),
    }
}
