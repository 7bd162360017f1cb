//! Where to go on from an offset that a partition does not have, for the libraries that leave it to us.

use crate::settings::{KeyId, Settings};

/// Where to go when the offset is not in the partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reset {
    Earliest,
    Latest,
    /// Nowhere: an error.
    None,
}

impl Reset {
    /// What a run does.
    pub(super) fn of(settings: &Settings, grouped: bool) -> Self {
        if grouped { Self::set(settings) } else { Self::without_group(settings) }
    }

    /// The value of `auto.offset.reset` that stands for it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Earliest => "earliest",
            Self::Latest => "latest",
            Self::None => "none",
        }
    }

    /// What a run without a group does. The default of `auto.offset.reset` is meant for groups: without
    /// one, reading starts at the beginning, so it also goes on at what is left of it.
    fn without_group(settings: &Settings) -> Self {
        if !settings.is_set(KeyId::AutoOffsetReset) {
            return Self::Earliest;
        }
        Self::set(settings)
    }

    fn set(settings: &Settings) -> Self {
        match settings.text(KeyId::AutoOffsetReset) {
            Some("latest") => Self::Latest,
            Some("none") => Self::None,
            _ => Self::Earliest,
        }
    }
}
