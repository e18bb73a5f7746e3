//! Secrets as helm sends them: in protobuf. The field numbers are those of Kubernetes'
//! `generated.proto`.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use prost::Message;
use serde_json::{Map, Value, json};

#[derive(Message)]
struct Unknown {
    #[prost(message, optional, tag = "1")]
    kind: Option<TypeMeta>,
    #[prost(bytes = "vec", tag = "2")]
    raw: Vec<u8>,
}

#[derive(Message)]
struct TypeMeta {
    #[prost(string, tag = "1")]
    api_version: String,
    #[prost(string, tag = "2")]
    kind: String,
}

#[derive(Message)]
struct Secret {
    #[prost(message, optional, tag = "1")]
    metadata: Option<ObjectMeta>,
    #[prost(btree_map = "string, bytes", tag = "2")]
    data: BTreeMap<String, Vec<u8>>,
    #[prost(string, tag = "3")]
    kind: String,
}

#[derive(Message)]
struct ObjectMeta {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "3")]
    namespace: String,
    #[prost(string, tag = "6")]
    resource_version: String,
    #[prost(btree_map = "string, string", tag = "11")]
    labels: BTreeMap<String, String>,
}

/// The Secret in a body; `None` if that is anything else.
pub(super) fn secret(body: &[u8]) -> Option<Value> {
    let unknown = Unknown::decode(body.strip_prefix(b"k8s\0")?).ok()?;
    if unknown.kind?.kind != "Secret" {
        return None;
    }
    let secret = Secret::decode(unknown.raw.as_slice()).ok()?;
    let metadata = secret.metadata?;
    let data = secret.data.into_iter();
    let data: Map<_, _> = data
        .map(|(key, value)| (key, STANDARD.encode(value).into()))
        .collect();
    let mut object = json!({
        "apiVersion": "v1", "kind": "Secret", "type": secret.kind, "data": data,
        "metadata": {
            "name": metadata.name, "namespace": metadata.namespace, "labels": metadata.labels,
        },
    });
    if !metadata.resource_version.is_empty() {
        object["metadata"]["resourceVersion"] = metadata.resource_version.into();
    }
    Some(object)
}
