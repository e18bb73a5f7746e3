//! What an unfinished upload is worth after a crash.

use super::*;

/// Goal: after a crash a length alone is not believed, and little is sent again. Method: a
/// byte of the file, of its marks, or the file's end is changed between two processes.
#[test]
fn of_an_unfinished_upload_only_what_still_hashes_right_counts_after_a_restart() {
    let mib = 1 << 20;
    let (id, bytes) = content(1, 4 * mib);
    let cases: [(&str, usize, usize); 6] = [
        // The last half a MiB was never noted.
        ("", 0, 3 * mib),
        ("", 5, 0),
        ("", 2 * mib + 7, 2 * mib),
        ("", 3 * mib + 7, 3 * mib),
        ("marks", 3, 0),
        ("marks", 40 + 39, mib),
    ];
    for (extension, at, expected) in cases {
        let disk = FakeDisk::new();
        let files = open(&disk);
        for (number, part) in bytes[..7 * mib / 2].chunks(mib / 2).enumerate() {
            let offset = (number * mib / 2) as u64;
            let staging = files.staging();
            staging
                .write("owner", id, offset, part, Part::More)
                .unwrap();
        }
        drop(files);
        let named = |path: &PathBuf| path.extension().is_some_and(|it| it == "marks");
        let mut staged = disk.image().into_keys();
        let file = staged.find(|path| path.starts_with("/data/staging") && !named(path));
        let path = file.unwrap().with_extension(extension);
        if (extension, at) != ("", 0) {
            let mut changed = disk.get(&path);
            changed[at] ^= 1;
            disk.put(&path, &changed);
        }
        let files = open(&disk);
        let staging = files.staging();
        assert_eq!(staging.claimed("owner", &id).unwrap(), None);
        let kept = usize::try_from(staging.kept("owner", &id)).unwrap();
        assert_eq!(kept, expected, "byte {at} of .{extension}");
        let half = kept + mib / 2;
        let (offset, middle) = (kept as u64, half as u64);
        staging
            .write("owner", id, offset, &bytes[kept..half], Part::More)
            .unwrap();
        staging.pause("owner", &id).unwrap();
        drop(files);
        // Noted when nobody sent any more: nothing of it is sent again.
        let files = open(&disk);
        let staging = files.staging();
        assert_eq!(staging.claimed("owner", &id).unwrap(), None);
        assert_eq!(staging.kept("owner", &id), middle);
        staging
            .write("owner", id, middle, &bytes[half..], Part::Last)
            .unwrap();
        files.promote("owner", &[id]).unwrap();
        verify(&files, &id, &bytes);
        let left = disk.image().into_keys();
        assert_eq!(
            left.filter(|path| path.starts_with("/data/staging"))
                .count(),
            0
        );
    }
}
