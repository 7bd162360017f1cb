//! Several runs as one report: medians, spreads, ratios, and in what the libraries differ.

use serde::{Deserialize, Serialize};

use super::document::{Run, SCHEMA};
use super::stats::{Ratio, Spread};

/// The report of several runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Comparison {
    pub(super) schema: String,
    /// compare; or the workload, of one library that was run several times.
    pub(super) workload: String,
    pub(super) libraries: Vec<Compared>,
    /// Each of the other libraries to the first.
    pub(super) ratios: Vec<Ratios>,
    /// Settings in which the libraries differ.
    pub(super) differing: Vec<Differing>,
    pub(super) rounds: Vec<Round>,
}

/// What a library's runs came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Compared {
    pub(super) library: String,
    pub(super) version: String,
    pub(super) records_per_second: Spread,
    pub(super) p99_us: Spread,
    pub(super) cpu_seconds_per_million: Spread,
    pub(super) peak_memory_bytes: Spread,
}

/// A library held against the first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Ratios {
    pub(super) library: String,
    pub(super) to: String,
    pub(super) records_per_second: Ratio,
    pub(super) p99_us: Ratio,
    pub(super) cpu_seconds_per_million: Ratio,
    pub(super) peak_memory_bytes: Ratio,
}

/// A setting that is not the same for all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Differing {
    pub(super) key: String,
    /// Library and value, in the order of the libraries.
    pub(super) values: Vec<(String, Option<String>)>,
}

/// A library's part of a round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Round {
    pub(super) round: u32,
    pub(super) library: String,
    pub(super) runs: Vec<Run>,
}

impl Round {
    /// The run that throughput, processor time and memory are of.
    fn throughput(&self) -> Option<&Run> {
        self.runs.first()
    }

    /// The run that the latency is of.
    fn latency(&self) -> Option<&Run> {
        self.runs.last()
    }
}

/// The figures of a library, round by round.
struct Columns {
    records_per_second: Vec<f64>,
    p99_us: Vec<f64>,
    cpu: Vec<f64>,
    memory: Vec<f64>,
}

impl Columns {
    fn of(rounds: &[&Round]) -> Self {
        let throughput =
            |of: &dyn Fn(&Run) -> f64| rounds.iter().filter_map(|r| r.throughput()).map(of).collect();
        let p99 = |run: &Run| run.main_latency().map_or(0.0, |latency| latency.p99 as f64);
        Self {
            records_per_second: throughput(&|run| {
                run.main_side().map_or(0.0, |side| side.records_per_second)
            }),
            p99_us: rounds.iter().filter_map(|round| round.latency()).map(p99).collect(),
            cpu: throughput(&|run| run.usage.cpu_seconds_per_million),
            memory: throughput(&|run| run.usage.usage.peak_memory_bytes as f64),
        }
    }
}

impl Comparison {
    /// Of these rounds, the libraries in this order.
    pub(super) fn new(workload: &str, libraries: &[String], rounds: Vec<Round>) -> Self {
        let of =
            |library: &String| rounds.iter().filter(|round| round.library == *library).collect::<Vec<_>>();
        let columns: Vec<(&String, Columns)> =
            libraries.iter().map(|library| (library, Columns::of(&of(library)))).collect();
        let version = |library: &String| {
            let run = of(library).first().and_then(|round| round.throughput());
            run.map(|run| run.environment.library_version.clone()).unwrap_or_default()
        };
        let compared = |(library, columns): &(&String, Columns)| Compared {
            library: (*library).clone(),
            version: version(library),
            records_per_second: Spread::of(&columns.records_per_second),
            p99_us: Spread::of(&columns.p99_us),
            cpu_seconds_per_million: Spread::of(&columns.cpu),
            peak_memory_bytes: Spread::of(&columns.memory),
        };
        let mut ratios = Vec::new();
        if let Some(((to, those), others)) = columns.split_first() {
            ratios.extend(others.iter().map(|(library, these)| ratios_of((library, these), (to, those))));
        }
        Self {
            schema: SCHEMA.to_owned(),
            workload: workload.to_owned(),
            libraries: columns.iter().map(compared).collect(),
            ratios,
            differing: differing(libraries, &rounds),
            rounds,
        }
    }

    /// The first run of a library.
    pub(super) fn first(&self, library: &str) -> Option<&Run> {
        self.rounds.iter().find(|round| round.library == library)?.runs.first()
    }

    /// All runs.
    pub(super) fn runs(&self) -> impl Iterator<Item = &Run> {
        self.rounds.iter().flat_map(|round| &round.runs)
    }
}

fn ratios_of((library, these): (&str, &Columns), (to, those): (&str, &Columns)) -> Ratios {
    Ratios {
        library: library.to_owned(),
        to: to.to_owned(),
        records_per_second: Ratio::of(&these.records_per_second, &those.records_per_second),
        p99_us: Ratio::of(&these.p99_us, &those.p99_us),
        cpu_seconds_per_million: Ratio::of(&these.cpu, &those.cpu),
        peak_memory_bytes: Ratio::of(&these.memory, &those.memory),
    }
}

/// The settings that are not the same for all, of each library's first run.
fn differing(libraries: &[String], rounds: &[Round]) -> Vec<Differing> {
    let first = |library: &String| rounds.iter().find(|round| round.library == *library)?.runs.first();
    let runs: Vec<(&String, &Run)> = libraries.iter().filter_map(|l| Some((l, first(l)?))).collect();
    let mut keys: Vec<&str> = Vec::new();
    for setting in runs.iter().flat_map(|(_, run)| &run.settings) {
        if !keys.contains(&setting.key.as_str()) {
            keys.push(&setting.key);
        }
    }
    let values = |key: &str| -> Vec<(String, Option<String>)> {
        let of = |run: &Run| run.settings.iter().find(|setting| setting.key == key)?.value.clone();
        runs.iter().map(|(library, run)| ((*library).clone(), of(run))).collect()
    };
    let all = keys.into_iter().map(|key| Differing { key: key.to_owned(), values: values(key) });
    all.filter(|it| it.values.iter().any(|(_, value)| Some(value) != it.values.first().map(|(_, v)| v)))
        .collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::document::tests::run;
    use super::super::stats::Verdict;
    use super::*;

    /// Two libraries, the second with half the throughput, three rounds.
    pub(in crate::commands::bench) fn comparison() -> Comparison {
        let libraries = ["native".to_owned(), "rskafka".to_owned()];
        let mut rounds = Vec::new();
        for round in 0..3 {
            for (library, records) in libraries.iter().zip([2000 + u64::from(round), 1000]) {
                let mut of = run("pipeline", records);
                of.environment.library = library.clone();
                if library == "rskafka" {
                    of.settings[0].value = Some("all (as it is)".to_owned());
                }
                let runs = vec![of, run("latency", 100)];
                rounds.push(Round { round, library: library.clone(), runs });
            }
        }
        Comparison::new("compare", &libraries, rounds)
    }

    #[test]
    fn medians_ratios_and_what_differs() {
        let it = comparison();
        let Compared { records_per_second, p99_us, .. } = it.libraries[0];
        assert_eq!(
            (records_per_second.median, records_per_second.max, p99_us.median),
            (2001.0, 2002.0, 99.0)
        );
        assert_eq!(it.ratios.len(), 1);
        let ratio = &it.ratios[0];
        assert_eq!((ratio.library.as_str(), ratio.to.as_str()), ("rskafka", "native"));
        assert_eq!(ratio.records_per_second.verdict, Verdict::Less);
        assert!((ratio.records_per_second.ratio.median - 0.5).abs() < 0.01);
        assert_eq!(ratio.p99_us.verdict, Verdict::NoDifference);
        assert_eq!(it.differing.len(), 1);
        assert_eq!(it.differing[0].values[1].1.as_deref(), Some("all (as it is)"));
    }

    #[test]
    fn a_library_alone_has_no_ratios() {
        let rounds = vec![Round { round: 0, library: "native".into(), runs: vec![run("publish", 10)] }];
        let it = Comparison::new("publish", &["native".to_owned()], rounds);
        assert!(it.ratios.is_empty() && it.differing.is_empty());
        assert_eq!(it.libraries[0].records_per_second.median, 10.0);
    }
}
