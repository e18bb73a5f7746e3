//! The configuration that a plan was made from: the plan is an archive, and holds the lock file
//! and the files of all its modules as they were then.

use std::{
    collections::BTreeMap,
    io::{Cursor, Read as _},
    path::{Component, Path},
};

use serde_json::Value;
use zip::ZipArchive;

use super::configuration::{FILES_MAX, LOCK_FILE};
use crate::{
    detail::printable,
    sources::SourceError,
    systems::{given::DOCUMENT_BYTES_MAX, strict},
};

/// Where modules are in the archive: each in a folder that begins so, before its key.
const MODULES: &str = "tfconfig/m-";
/// Which module was where.
const MODULES_FILE: &str = "tfconfig/modules.json";

/// A file of the configuration: its path below the configuration's directory, and its bytes.
pub(super) type File = (Vec<String>, Vec<u8>);

/// What a plan's archive holds of its configuration.
pub(super) fn files(plan: &[u8], from: &str) -> Result<Vec<File>, SourceError> {
    let wrong = |why: &str| SourceError::Input {
        what: from.to_owned(),
        why: printable(why),
    };
    let archive = ZipArchive::new(Cursor::new(plan));
    let mut archive = archive.map_err(|error| wrong(&format!("no archive of a plan: {error}")))?;
    // Of two members of one name nobody knows which the tool reads.
    if archive.has_duplicate_names() {
        return Err(wrong("it holds two files of one name"));
    }
    if archive.len() > FILES_MAX {
        return Err(wrong(&format!("it holds more than {FILES_MAX} files")));
    }
    let (mut found, mut modules, mut left) = (Vec::new(), BTreeMap::new(), DOCUMENT_BYTES_MAX);
    for index in 0..archive.len() {
        let broken = |error: &dyn std::fmt::Display| wrong(&format!("it is broken: {error}"));
        let entry = archive.by_index(index).map_err(|error| broken(&error))?;
        let name = entry.name().map_err(|error| broken(&error))?.into_owned();
        if name != LOCK_FILE && name != MODULES_FILE && !name.starts_with(MODULES) {
            continue;
        }
        let mut bytes = Vec::new();
        let read = entry.take(left + 1).read_to_end(&mut bytes);
        read.map_err(|error| broken(&error))?;
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        left = left.checked_sub(length).ok_or_else(|| {
            let max = DOCUMENT_BYTES_MAX >> 20;
            wrong(&format!("its modules are longer than {max} MiB"))
        })?;
        if name == MODULES_FILE {
            modules = directories(&bytes).map_err(|why| wrong(&why))?;
        } else {
            found.push((name, bytes));
        }
    }
    let mut placed = BTreeMap::new();
    for (name, bytes) in found {
        let words = place(&name, &modules);
        let words = words.ok_or_else(|| wrong(&format!("it holds {name}, of no module")))?;
        // A module that is called twice is there twice.
        let known = placed.entry(words).or_insert_with(|| bytes.clone());
        if *known != bytes {
            return Err(wrong(&format!("it holds {name} twice, and not alike")));
        }
    }
    Ok(placed.into_iter().collect())
}

/// Where each module was, by its key.
fn directories(bytes: &[u8]) -> Result<BTreeMap<String, String>, String> {
    let listed = strict::parse(bytes)?;
    let modules = listed.first().and_then(Value::as_array);
    let modules = modules.into_iter().flatten().filter_map(|module| {
        let of = |member: &str| module.get(member)?.as_str().map(str::to_owned);
        Some((of("Key")?, of("Dir")?))
    });
    Ok(modules.collect())
}

/// The path of a member below the configuration's directory.
fn place(name: &str, modules: &BTreeMap<String, String>) -> Option<Vec<String>> {
    if name == LOCK_FILE {
        return Some(vec!["configuration".to_owned(), name.to_owned()]);
    }
    let (key, file) = name.strip_prefix(MODULES)?.split_once('/')?;
    let mut words = vec!["configuration".to_owned()];
    words.extend(steps(Path::new(modules.get(key)?))?);
    words.push(file.to_owned());
    Some(words)
}

/// The steps of a path as a name has them: `.` is none, `..` is one.
pub(super) fn steps(path: &Path) -> Option<Vec<String>> {
    let steps = path.components().filter(|step| *step != Component::CurDir);
    let steps = steps.map(|step| step.as_os_str().to_str().map(str::to_owned));
    steps.collect()
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write as _};

    use zip::{ZipWriter, write::SimpleFileOptions};

    use super::files;

    const LIST: &[u8] = br#"[{"Key":"","Dir":"."},{"Key":"m","Source":"../m","Dir":"../m"},
        {"Key":"n","Source":"../m","Dir":"../m"}]"#;

    fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in members {
            writer
                .start_file(*name, SimpleFileOptions::default())
                .unwrap();
            writer.write_all(bytes).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    /// Goal: the files of a plan's modules are found where the modules were. Method: modules of
    /// which one stands beside the configuration and is called twice; the list of them last, as
    /// Terraform has it.
    #[test]
    fn files_of_modules_are_where_the_modules_were() {
        let plan = archive(&[
            ("tfplan", b"secret"),
            ("tfconfig/m-m/a.tf", b"a"),
            ("tfconfig/m-n/a.tf", b"a"),
            ("tfconfig/m-/main.tf", b"main"),
            ("tfconfig/modules.json", LIST),
            (".terraform.lock.hcl", b"lock"),
        ]);
        let found = files(&plan, "p").unwrap();
        let found: Vec<_> = found
            .iter()
            .map(|(words, bytes)| (words.join("/"), bytes.as_slice()))
            .collect();
        let expected = [
            ("configuration/../m/a.tf", &b"a"[..]),
            ("configuration/.terraform.lock.hcl", b"lock"),
            ("configuration/main.tf", b"main"),
        ];
        assert_eq!(
            found,
            expected.map(|(name, bytes)| (name.to_owned(), bytes))
        );
    }

    /// Goal: an archive that is none, is broken, or gives without end, is refused. Method: one of
    /// each sort.
    #[test]
    fn archives_that_nobody_should_believe_are_refused() {
        let sound = archive(&[("tfconfig/m-/main.tf", &[b'x'; 4_096])]);
        let mut flipped = sound.clone();
        let name = b"tfconfig/m-/main.tf".len();
        flipped[30 + name + 3] ^= 0x55;
        let zeros = vec![0; 33 << 20];
        let long = archive(&[
            ("tfconfig/modules.json", LIST),
            ("tfconfig/m-/a.tf", &zeros),
            ("tfconfig/m-/b.tf", &zeros),
        ]);
        let apart = archive(&[
            ("tfconfig/modules.json", LIST),
            ("tfconfig/m-m/a.tf", b"a"),
            ("tfconfig/m-n/a.tf", b"b"),
        ]);
        let list = archive(&[("tfconfig/modules.json", b"[{]")]);
        for (plan, why) in [
            (b"PK\x03\x04 and no more".to_vec(), "no archive"),
            (sound[..sound.len() / 2].to_vec(), "no archive"),
            (flipped, "it is broken"),
            (long, "longer than 64 MiB"),
            (sound, "of no module"),
            (apart, "twice, and not alike"),
            (list, "key must be a string"),
        ] {
            let refused = files(&plan, "p").unwrap_err().to_string();
            assert!(refused.contains(why), "{refused}");
        }
    }
}
