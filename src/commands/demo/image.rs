//! An OCI image layout, built byte by byte: a layer, a configuration, a manifest, an index.

use std::{fs, io, path::Path};

use cairn_proto::hash::Sha256;
use serde_json::{Value, json};

/// Writes a layout of one small image to a new directory.
pub(super) fn write_layout(directory: &Path, tag: &str) -> io::Result<()> {
    let blobs = directory.join("blobs/sha256");
    fs::create_dir_all(&blobs)?;
    let layer = tar_of_one_file("srv/version", tag.as_bytes());
    let config = json!({
        "architecture": "amd64",
        "config": {"Cmd": ["/srv/shop"], "User": "65534"},
        "os": "linux",
        "rootfs": {"diff_ids": [digest(&layer)], "type": "layers"},
    });
    let config = bytes(&config);
    let manifest = bytes(&json!({
        "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
        "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", &layer)],
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "schemaVersion": 2,
    }));
    let mut entry = descriptor("application/vnd.oci.image.manifest.v1+json", &manifest);
    entry["annotations"] = json!({"org.opencontainers.image.ref.name": tag});
    entry["platform"] = json!({"architecture": "amd64", "os": "linux"});
    let index = bytes(&json!({
        "manifests": [entry],
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "schemaVersion": 2,
    }));
    for blob in [&layer, &config, &manifest] {
        fs::write(blobs.join(Sha256::of(blob).to_string()), blob)?;
    }
    fs::write(directory.join("index.json"), index)?;
    fs::write(
        directory.join("oci-layout"),
        "{\"imageLayoutVersion\":\"1.0.0\"}",
    )
}

fn bytes(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

fn digest(blob: &[u8]) -> String {
    format!("sha256:{}", Sha256::of(blob))
}

fn descriptor(media_type: &str, blob: &[u8]) -> Value {
    json!({"digest": digest(blob), "mediaType": media_type, "size": blob.len()})
}

/// A POSIX tar archive with one file of at most 512 bytes.
fn tar_of_one_file(name: &str, content: &[u8]) -> Vec<u8> {
    let mut header = [0_u8; 512];
    let mut put = |at: usize, text: &[u8]| {
        if let Some(field) = header.get_mut(at..at + text.len()) {
            field.copy_from_slice(text);
        }
    };
    put(0, name.as_bytes());
    put(100, b"0000644\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{:011o}\0", content.len()).as_bytes());
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, b"0");
    put(257, b"ustar\x0000");
    let sum: u32 = header.iter().copied().map(u32::from).sum();
    let sum = format!("{sum:06o}\0 ");
    if let Some(field) = header.get_mut(148..156) {
        field.copy_from_slice(sum.as_bytes());
    }
    let mut archive = header.to_vec();
    archive.extend_from_slice(content);
    archive.resize(2_048, 0);
    archive
}
