//! Bytes that lie in S3.

use std::io::Write;

use aws_config::SdkConfig;
use aws_sdk_s3::{Client, config::Builder};
use aws_smithy_runtime_api::client::http::SharedHttpClient;

use super::{
    super::too_long,
    refused::{failed, refused, unreachable},
    settings,
};
use crate::{connect::causes, sources::SourceError};

/// A client; an endpoint of one's own has its buckets in paths, as most of them do.
pub(super) fn client(config: &SdkConfig, http: SharedHttpClient) -> Client {
    let own = settings::endpoint(config, "S3");
    let builder = Builder::from(config)
        .http_client(http)
        .force_path_style(own.is_some())
        // Whoever names the bucket would choose who gives credentials for it.
        .disable_s3_express_session_auth(true);
    Client::from_conf(builder.build())
}

/// Writes what lies there, of so many bytes at most; the version that it was.
pub(super) async fn fetch(
    client: &Client,
    bucket: &str,
    key: &str,
    bytes_max: u64,
    to: &mut (dyn Write + Send),
) -> Result<Option<String>, SourceError> {
    let asked = client.get_object().bucket(bucket).key(key);
    let said = asked.send().await;
    let mut said = said.map_err(|error| refused("GetObject", &error))?;
    let length = said.content_length().and_then(|it| u64::try_from(it).ok());
    // Without one nobody knows whether it broke off.
    let length = length.ok_or_else(|| failed(&"S3 does not say how long the object is"))?;
    if length > bytes_max {
        return Err(too_long(bucket, key, bytes_max));
    }
    let mut got = 0_u64;
    // One that has another checksum than was told is an error here.
    while let Some(part) = said.body.next().await {
        let part = part.map_err(|error| unreachable(&causes(&error)))?;
        got = got.saturating_add(u64::try_from(part.len()).unwrap_or(u64::MAX));
        if got > bytes_max {
            return Err(too_long(bucket, key, bytes_max));
        }
        to.write_all(&part).map_err(|error| failed(&error))?;
    }
    if length != got {
        return Err(unreachable("the object breaks off"));
    }
    Ok(said.version_id)
}
