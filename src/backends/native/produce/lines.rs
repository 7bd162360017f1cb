//! Where the records of a batch stand in the input: all that a report needs and the batch itself does
//! not hold.

use std::sync::Arc;

/// Whether a record came with a timestamp or was given one here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Timed {
    /// By whoever wrote it.
    ByInput,
    /// With the time at which it was taken.
    Here,
}

/// The place of one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Origin<'a> {
    pub(super) line: u64,
    /// The file; none for standard input and `-m`.
    pub(super) source: Option<&'a Arc<str>>,
    pub(super) timed: Timed,
}

/// The places of records by their number in the batch, as runs of lines that follow each other.
#[derive(Debug)]
pub(super) struct Lines {
    runs: Vec<Run>,
    sources: Vec<Arc<str>>,
    /// Records so far.
    len: u32,
    /// What continues the last run: this line, from a file or not, timed like this.
    next: u64,
    from_file: bool,
    timed: Timed,
}

impl Default for Lines {
    fn default() -> Self {
        let (runs, sources) = (Vec::new(), Vec::new());
        // No input has so many lines.
        Self { runs, sources, len: 0, next: u64::MAX, from_file: false, timed: Timed::Here }
    }
}

#[derive(Debug, Clone, Copy)]
struct Run {
    /// The line of its first record.
    line: u64,
    /// The number of its first record.
    first: u32,
    /// Index of its source and one; 0 for none.
    source: u32,
    timed: Timed,
}

impl Lines {
    /// Adds the next record.
    #[inline]
    pub(super) fn push(&mut self, origin: Origin<'_>) {
        let continues = self.next == origin.line
            && self.timed == origin.timed
            && self.from_file == origin.source.is_some()
            && (!self.from_file || same(self.sources.last(), origin.source));
        if !continues {
            self.begin(origin);
        }
        self.next = origin.line.wrapping_add(1);
        self.len += 1;
    }

    #[cold]
    fn begin(&mut self, Origin { line, source, timed }: Origin<'_>) {
        (self.from_file, self.timed) = (source.is_some(), timed);
        if let Some(source) = source
            && !same(self.sources.last(), Some(source))
        {
            self.sources.push(Arc::clone(source));
        }
        let source = if source.is_some() { self.sources.len() as u32 } else { 0 };
        self.runs.push(Run { line, first: self.len, source, timed });
    }

    fn source(&self, index: u32) -> Option<&Arc<str>> {
        self.sources.get((index as usize).checked_sub(1)?)
    }

    /// The place of a record.
    pub(super) fn of(&self, record: usize) -> Origin<'_> {
        let record = record as u32;
        let run = self.runs.partition_point(|run| run.first <= record).checked_sub(1);
        match run.and_then(|run| self.runs.get(run)) {
            Some(run) => Origin {
                line: run.line + u64::from(record - run.first),
                source: self.source(run.source),
                timed: run.timed,
            },
            None => Origin { line: 0, source: None, timed: Timed::Here },
        }
    }
}

/// Names are shared: the same file has the same one.
fn same(a: Option<&Arc<str>>, b: Option<&Arc<str>>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => Arc::ptr_eq(a, b),
        (None, None) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_record_keeps_its_line_source_and_kind_of_time() {
        let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        let places = [
            (1, Some(&a), Timed::Here),
            (2, Some(&a), Timed::Here),
            (3, Some(&a), Timed::ByInput),
            (9, Some(&a), Timed::ByInput),
            (10, None, Timed::ByInput),
            (11, Some(&b), Timed::ByInput),
            (1, Some(&b), Timed::Here),
        ];
        let origins = places.map(|(line, source, timed)| Origin { line, source, timed });
        let mut lines = Lines::default();
        origins.iter().for_each(|origin| lines.push(*origin));
        for (n, origin) in origins.iter().enumerate() {
            assert_eq!(lines.of(n), *origin, "{n}");
        }
    }

    #[test]
    fn lines_that_follow_each_other_take_one_run() {
        let mut lines = Lines::default();
        (1..=10_000).for_each(|line| lines.push(Origin { line, source: None, timed: Timed::Here }));
        assert_eq!(lines.runs.len(), 1);
        assert_eq!(lines.of(9_999).line, 10_000);
    }
}
