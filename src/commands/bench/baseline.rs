//! `--baseline`: a report held against that of an earlier run.

use std::path::Path;

use super::compare::Comparison;
use super::document::{Run, SCHEMA};
use crate::commands::output::plain;

/// What is held against each other, of one library.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Mark {
    pub(super) library: String,
    pub(super) workload: String,
    pub(super) records_per_second: f64,
    /// Where latency is what was measured.
    pub(super) p99_us: Option<f64>,
}

impl Mark {
    /// Of one run.
    pub(super) fn of(run: &Run) -> Self {
        let p99 = run.main_latency().map(|latency| latency.p99 as f64);
        Self {
            library: run.environment.library.clone(),
            workload: run.workload.clone(),
            records_per_second: run.main_side().map_or(0.0, |side| side.records_per_second),
            p99_us: p99.filter(|_| run.workload == "latency"),
        }
    }

    /// Of several: the medians.
    pub(super) fn all_of(it: &Comparison) -> Vec<Self> {
        let measures_latency = it.runs().any(|run| run.workload == "latency");
        let mark = |of: &super::compare::Compared| Self {
            library: of.library.clone(),
            workload: it.workload.clone(),
            records_per_second: of.records_per_second.median,
            p99_us: measures_latency.then_some(of.p99_us.median),
        };
        it.libraries.iter().map(mark).collect()
    }
}

/// Reads the marks of a report.
///
/// # Errors
/// In words that name the file.
pub(super) fn read(path: &Path) -> Result<Vec<Mark>, String> {
    let named = |e: String| format!("--baseline {}: {e}", path.display());
    let text = std::fs::read_to_string(path).map_err(|e| named(plain(&e)))?;
    parse(&text).map_err(named)
}

fn parse(text: &str) -> Result<Vec<Mark>, String> {
    let json: serde_json::Value = serde_json::from_str(text).map_err(|e| format!("not JSON: {e}"))?;
    if json.get("rounds").is_some() && json.get("schema").is_some_and(|schema| schema == SCHEMA) {
        let it: Comparison =
            serde_json::from_value(json).map_err(|e| format!("not a report of runs: {e}"))?;
        return Ok(Mark::all_of(&it));
    }
    Run::parse(text).map(|run| vec![Mark::of(&run)])
}

/// Reads how much slower is too slow: `5%` or `5`.
///
/// # Errors
/// In words.
pub(super) fn percent(typed: &str) -> Result<f64, String> {
    let number = typed.strip_suffix('%').unwrap_or(typed).trim();
    let percent = number.parse::<f64>().ok().filter(|percent| (0.0..=100.0).contains(percent));
    percent.ok_or_else(|| format!("--fail-if-slower: '{typed}' is not a percentage, as 5% (from 0 to 100)"))
}

/// One line for each mark that is missed by more than so many percent.
///
/// # Errors
/// In words: nothing of the baseline is of the same kind.
pub(super) fn slower(now: &[Mark], before: &[Mark], percent: f64) -> Result<Vec<String>, String> {
    let mut lines = Vec::new();
    let mut held = 0;
    for now in now {
        let alike = before.iter().filter(|before| before.workload == now.workload);
        let same = alike.clone().find(|before| before.library == now.library);
        let Some(before) = same else { continue };
        held += 1;
        let limit = before.records_per_second * (1.0 - percent / 100.0);
        if now.records_per_second < limit {
            lines.push(format!(
                "slower than the baseline: {} {} {:.0} records/s, was {:.0} ({percent} % less are allowed)",
                now.library, now.workload, now.records_per_second, before.records_per_second
            ));
        }
        if let (Some(p99), Some(was)) = (now.p99_us, before.p99_us)
            && p99 > was * (1.0 + percent / 100.0)
        {
            lines.push(format!(
                "slower than the baseline: {} {} p99 {p99:.0} us, was {was:.0} ({percent} % more are allowed)",
                now.library, now.workload
            ));
        }
    }
    if held == 0 {
        return Err("--baseline: it has no run of the same workload and library".to_owned());
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::super::compare::tests::comparison;
    use super::super::document::tests::run;
    use super::*;

    fn mark(records_per_second: f64, p99_us: Option<f64>) -> Mark {
        Mark { library: "native".into(), workload: "latency".into(), records_per_second, p99_us }
    }

    #[test]
    fn what_is_slower_by_more_than_allowed_is_told() {
        let slower = |now, before| slower(&[now], &[before], 5.0).unwrap().len();
        let before = || mark(1000.0, Some(100.0));
        assert_eq!(slower(mark(951.0, Some(104.0)), before()), 0);
        assert_eq!(slower(mark(949.0, Some(104.0)), before()), 1);
        assert_eq!(slower(mark(949.0, Some(106.0)), before()), 2);
        assert_eq!(slower(mark(2000.0, None), before()), 0);
    }

    #[test]
    fn a_baseline_of_something_else_is_an_error() {
        let other = Mark { library: "rdkafka".into(), ..mark(1.0, None) };
        assert!(slower(&[mark(1.0, None)], &[other], 5.0).is_err());
    }

    #[test]
    fn marks_are_read_from_reports_of_one_run_and_of_several() {
        let one = parse(&serde_json::to_string(&run("publish", 10)).unwrap()).unwrap();
        assert_eq!((one[0].records_per_second, one[0].p99_us), (10.0, None));
        let several = parse(&serde_json::to_string(&comparison()).unwrap()).unwrap();
        assert_eq!(several.len(), 2);
        assert_eq!((several[1].records_per_second, several[1].p99_us), (1000.0, Some(99.0)));
        assert!(parse("{}").is_err());
    }

    #[test]
    fn a_percentage_is_read_with_or_without_its_sign() {
        assert_eq!((percent("5%"), percent("2.5"), percent("0 %")), (Ok(5.0), Ok(2.5), Ok(0.0)));
        for typed in ["", "%", "x", "-1%", "101%", "nan"] {
            assert!(percent(typed).is_err(), "{typed}");
        }
    }
}
