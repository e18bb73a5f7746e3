//! The input tree: a small shop, the files of `examples/shop`.

use std::{fs, io, os::unix::fs::PermissionsExt as _, path::Path};

use super::image::write_layout;

macro_rules! files {
    ($($mode:literal $name:literal)*) => {
        [$(($name, $mode, include_bytes!(concat!("../../../examples/shop/", $name)).as_slice())),*]
    };
}

const FILES: [(&str, u32, &[u8]); 13] = files! {
    0o644 "README.md"
    0o755 "bin/smoke-test"
    0o644 "checkout.yaml"
    0o644 "compose.yaml"
    0o644 "config.yaml"
    0o644 "ingress.yaml"
    0o644 "network-policy.yaml"
    0o644 "nginx/default.conf"
    0o644 "service.yaml"
    0o644 "site/index.html"
    0o644 "site/logo.svg"
    0o644 "site/style.css"
    0o644 "web.yaml"
};

/// Writes the shop, its image included, to a new directory.
pub(super) fn write(directory: &Path) -> io::Result<()> {
    for (name, mode, bytes) in FILES {
        let path = directory.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&path, bytes)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
    }
    write_layout(&directory.join("image"), "v1")
}

/// Replaces text in a file, as `sed -i` would.
pub(super) fn edit(path: &Path, from: &str, to: &str) -> io::Result<()> {
    let text = fs::read_to_string(path)?;
    fs::write(path, text.replace(from, to))
}
