//! Where packed contents lie: id to frame, in RAM.
//!
//! Behind one small struct so that it can become a view on disk. Invariant: only frames
//! that are durable are in it.
//! Out of scope: the frames themselves.

use std::{collections::HashMap, sync::RwLock};

use cairn_proto::hash::ContentId;

use crate::segment::{Frame, reading, writing};

/// Id to frame.
#[derive(Debug, Default)]
pub(super) struct Index {
    frames: RwLock<HashMap<ContentId, Frame>>,
}

impl Index {
    pub(super) fn of(frames: HashMap<ContentId, Frame>) -> Self {
        Self {
            frames: RwLock::new(frames),
        }
    }

    pub(super) fn get(&self, id: &ContentId) -> Option<Frame> {
        reading(&self.frames).get(id).copied()
    }

    pub(super) fn insert(&self, found: impl IntoIterator<Item = Frame>) {
        let mut frames = writing(&self.frames);
        for frame in found {
            frames.entry(ContentId(frame.digest)).or_insert(frame);
        }
    }
}
