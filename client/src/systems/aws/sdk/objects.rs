//! Bytes that lie in S3.

use std::io::Write;

use aws_config::SdkConfig;
use aws_sdk_s3::{Client, config::Builder};

use super::{
    super::too_long,
    refused::{failed, refused, unreachable},
};
use crate::{connect::causes, sources::SourceError};

/// A client; an endpoint of one's own has its buckets in paths, as most of them do.
pub(super) fn client(config: &SdkConfig) -> Client {
    let own = config.endpoint_url().is_some() || std::env::var_os("AWS_ENDPOINT_URL_S3").is_some();
    Client::from_conf(Builder::from(config).force_path_style(own).build())
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
    let length = said.content_length().map(u64::try_from);
    if length.is_some_and(|length| length.is_ok_and(|length| length > bytes_max)) {
        return Err(too_long(bucket, key, bytes_max));
    }
    let mut left = bytes_max;
    // A body that ends before its length, or is none of its checksum, is an error here.
    while let Some(part) = said.body.next().await {
        let part = part.map_err(|error| unreachable(&causes(&error)))?;
        let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
        left = left
            .checked_sub(length)
            .ok_or_else(|| too_long(bucket, key, bytes_max))?;
        to.write_all(&part).map_err(|error| failed(&error))?;
    }
    Ok(said.version_id)
}
