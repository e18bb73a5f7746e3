//! What the machine says of a process and of a directory.

use std::{
    os::unix::fs::MetadataExt as _,
    path::Path,
    time::{Duration, Instant},
};

/// Ticks of the processor's time: 100 a second on every Linux.
fn ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // Behind the name, which may hold anything: state is the first, utime the 12th.
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let mut fields = fields.split_whitespace().skip(11);
    let mut next = || fields.next().unwrap().parse::<u64>().unwrap();
    next() + next()
}

/// Waits until a process has had nothing to do for a second: its views have caught up.
pub(crate) async fn settled(pid: u32) {
    let patience = Instant::now() + Duration::from_mins(5);
    let mut before = ticks(pid);
    while Instant::now() < patience {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = ticks(pid);
        if now - before <= 2 {
            return;
        }
        before = now;
    }
    panic!("process {pid} does not come to rest");
}

/// Bytes that a directory takes of the disk.
pub(crate) fn disk(directory: &Path) -> u64 {
    let entries = std::fs::read_dir(directory).unwrap().map(Result::unwrap);
    let sizes = entries.map(|entry| {
        let metadata = entry.metadata().unwrap();
        if metadata.is_dir() {
            disk(&entry.path())
        } else {
            metadata.blocks() * 512
        }
    });
    sizes.sum()
}
