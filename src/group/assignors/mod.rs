//! Who gets what in the classic protocol: Java's assignors, with its results.

/// A way of assigning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Assignor {
    /// Of each topic, consecutive partitions (`RangeAssignor`).
    Range,
    /// All partitions in turn (`RoundRobinAssignor`).
    RoundRobin,
    /// As even as can be, with the fewest moves (`StickyAssignor`).
    Sticky,
    /// The same, and what is to be moved is given up before another gets it (`CooperativeStickyAssignor`).
    CooperativeSticky,
}

impl Assignor {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Range, Self::RoundRobin, Self::Sticky, Self::CooperativeSticky];

    /// Its name in the protocol.
    pub fn name(self) -> &'static str {
        match self {
            Self::Range => "range",
            Self::RoundRobin => "roundrobin",
            Self::Sticky => "sticky",
            Self::CooperativeSticky => "cooperative-sticky",
        }
    }

    /// The one of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|assignor| assignor.name() == name)
    }
}
