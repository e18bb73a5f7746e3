//! What is kept anywhere, and what can be taken out: searched for a secret, byte by byte.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::stage::Stage;

/// Whether any file below a directory holds these bytes.
pub(crate) fn holds(directory: &Path, needle: &[u8]) -> bool {
    fs::read_dir(directory).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return holds(&path, needle);
        }
        // A socket, or what a server has replaced meanwhile, holds nothing.
        let bytes = fs::read(path).unwrap_or_default();
        bytes.windows(needle.len()).any(|window| window == needle)
    })
}

impl Stage {
    /// Insists that these bytes are in nothing that the server or the client keeps, nor in
    /// anything that comes out; while what is known to be there is found.
    #[track_caller]
    pub(crate) fn keeps_nowhere(&self, secret: &str, known: &str) {
        let data = self.path("data");
        let exported = self.exported();
        for folder in [&data, self.home(), exported.as_path()] {
            let found = holds(folder, secret.as_bytes());
            assert!(!found, "{secret} is in {}", folder.display());
        }
        assert!(holds(&data, known.as_bytes()), "the search finds {known}");
    }

    /// All that can be taken out: what is shown of each release, and each environment's bundle.
    fn exported(&self) -> PathBuf {
        let folder = self.path("exported");
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).unwrap();
        let log = self.run("log -n 100000 --output json").exits(0);
        let log = log.json("cairn.log/v1");
        let entries = log["entries"].as_array().unwrap().iter();
        let releases = entries.filter_map(|entry| {
            let environment = entry["environment"].as_str()?.to_owned();
            Some((environment, entry["sequence"].as_u64()?))
        });
        let mut bundles = 0;
        for (place, (environment, sequence)) in releases.enumerate() {
            let shown = self.run(&format!("show {environment}#{sequence} --output json"));
            fs::write(folder.join(format!("{place}.json")), shown.exits(0).out).unwrap();
            let bundle = folder.join(format!("{place}.bundle"));
            let bundle = bundle.to_str().unwrap();
            let ran = self.run_words(&["export", &environment, "-o", bundle]);
            bundles += usize::from(ran.code == Some(0));
        }
        assert!(bundles > 0, "nothing was exported");
        folder
    }
}
