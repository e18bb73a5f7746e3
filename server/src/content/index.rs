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
    /// Frames of contents that another frame holds already. None is ever written; one that is
    /// there all the same holds bytes, which can be erased.
    again: Vec<Frame>,
}

impl Index {
    pub(super) fn of(frames: HashMap<ContentId, Frame>, again: Vec<Frame>) -> Self {
        Self {
            frames: RwLock::new(frames),
            again,
        }
    }

    pub(super) fn get(&self, id: &ContentId) -> Option<Frame> {
        reading(&self.frames).get(id).copied()
    }

    /// All frames of a content.
    pub(super) fn all(&self, id: &ContentId) -> Vec<Frame> {
        let again = self.again.iter().filter(|frame| frame.digest == id.0);
        self.get(id).into_iter().chain(again.copied()).collect()
    }

    pub(super) fn insert(&self, found: impl IntoIterator<Item = Frame>) {
        let mut frames = writing(&self.frames);
        for frame in found {
            frames.entry(ContentId(frame.digest)).or_insert(frame);
        }
    }
}
