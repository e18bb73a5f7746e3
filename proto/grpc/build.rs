//! Compiles `proto/cairn/v1` with protox: no protoc is needed on the machine.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message as _;

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("..");
    println!("cargo:rerun-if-changed={}", root.join("cairn/v1").display());
    let descriptors = protox::compile(
        ["cairn/v1/ledger.proto", "cairn/v1/proposals.proto"],
        [&root],
    )?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("cairn.v1.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        .bytes(".")
        .compile_fds(descriptors)?;
    Ok(())
}
