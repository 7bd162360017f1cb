//! `--report`: one page that needs no network, with charts, in light and dark, for wide and narrow screens. The JSON of
//! the report is in it.

mod chart;

use std::fmt::Write;
use std::time::Duration;

use self::chart::{Across, Bar, Series, bars, lines, short};
use super::super::compare::{Comparison, Ratios};
use super::super::document::Run;
use super::super::hlog::latencies;
use super::super::latency::{Figures, PERCENTILES};
use super::super::stats::{Ratio, Spread};
use super::text;
use super::{Report, Searched};
use crate::units;

const STYLE: &str = include_str!("style.css");

/// The page. Writing to a String does not fail.
pub(in super::super) fn page(report: &Report) -> Result<String, serde_json::Error> {
    let (title, body) = match report {
        Report::One(run) => (format!("kps bench {}", run.workload), one(run)),
        Report::Several(all) => (format!("kps bench {}", all.workload), several(all)),
        Report::Searched(searched) => ("kps bench latency --find-rate".to_owned(), found(searched)),
    };
    // So that no text in it can end the element it is in.
    let json = report.json()?.replace('<', "\\u003c");
    Ok(format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\"><title>{title}</title>\
         <style>{STYLE}</style></head>\n<body><main><h1>{title}</h1>\n{body}</main>\n\
         <script type=\"application/json\" id=\"report\">{json}</script></body></html>\n",
        title = escape(&title),
    ))
}

/// Text as it stands in HTML, attributes among it.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

fn one(run: &Run) -> String {
    let mut html = format!("<pre>{}</pre>\n", escape(&text::run(run)));
    section(&mut html, "Throughput over time", &over_time(&[(String::new(), run)]));
    let curves: Vec<Series> = latencies(run).into_iter().map(|(name, it)| curve(name, it)).collect();
    section(&mut html, "Latency", &lines("latency", Across::Percentiles, "us", &curves));
    html.push_str(&environment(run));
    html.push_str(&settings(run));
    html
}

fn several(all: &Comparison) -> String {
    let mut html = format!("<pre>{}</pre>\n", escape(&text::several(all)));
    html.push_str(&comparison_bars(all));
    let firsts: Vec<(String, &Run)> = all
        .libraries
        .iter()
        .filter_map(|library| Some((library.library.clone(), all.first(&library.library)?)))
        .collect();
    section(&mut html, "Throughput over time, first round", &over_time(&firsts));
    let curves: Vec<Series> = all
        .libraries
        .iter()
        .filter_map(|library| {
            let round = all.rounds.iter().find(|round| round.library == library.library)?;
            Some(curve(&library.library, round.runs.last()?.main_latency()?))
        })
        .collect();
    section(&mut html, "Latency, first round", &lines("latency", Across::Percentiles, "us", &curves));
    html.push_str(&ratios(&all.ratios));
    html.push_str(&differing(all));
    if let Some((_, run)) = firsts.first() {
        html.push_str(&environment(run));
        html.push_str(&settings(run));
    }
    html
}

fn found(searched: &Searched) -> String {
    let mut html = format!("<pre>{}</pre>\n", escape(&text::searched(searched)));
    let points = |holds: bool| {
        let mut points: Vec<(f64, f64)> = searched
            .steps
            .iter()
            .filter(|step| step.holds == holds)
            .map(|step| (step.rate, step.p99_us as f64))
            .collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        points
    };
    let rows: String = [true, false]
        .into_iter()
        .flat_map(|holds| points(holds).into_iter().map(move |(rate, p99)| (rate, p99, holds)))
        .map(|(rate, p99, holds)| {
            let verdict = if holds { "held" } else { "not held" };
            format!("<tr><td>{rate:.0}/s</td><td>{p99} us</td><td>{verdict}</td></tr>")
        })
        .collect();
    section(&mut html, "Rates tried", &table("rates", "<th>rate</th><th>p99</th><th></th>", &rows));
    if let Some(run) = &searched.best {
        html.push_str(&one(run));
    }
    html
}

fn section(html: &mut String, title: &str, content: &str) {
    let _ = writeln!(html, "<section><h2>{}</h2>{content}</section>", escape(title));
}

/// Records a second between each two samples; both directions of each run.
fn over_time(runs: &[(String, &Run)]) -> String {
    let mut series = Vec::new();
    for (library, run) in runs {
        let named = |what: &str| format!("{library} {what}").trim().to_owned();
        let (publishes, subscribes) = (run.publish.is_some(), run.subscribe.is_some());
        let mut add = |what: &str, of: fn(&super::super::document::Sample) -> u64| {
            let mut last = (0.0, 0);
            let points = run.over_time.iter().filter(|sample| sample.seconds > 0.0).map(|sample| {
                let (seconds, records) = (sample.seconds - last.0, of(sample).saturating_sub(last.1));
                last = (sample.seconds, of(sample));
                (sample.seconds, if seconds > 0.0 { records as f64 / seconds } else { 0.0 })
            });
            let points = points.collect();
            series.push(Series { name: named(what), points });
        };
        if publishes {
            add("published", |sample| sample.published);
        }
        if subscribes {
            add("received", |sample| sample.received);
        }
    }
    lines("over_time", Across::Seconds, "/s", &series)
}

/// The percentiles of a latency.
fn curve(name: &str, figures: &Figures) -> Series {
    let points = PERCENTILES.iter().zip(figures.percentiles()).map(|((_, at), value)| (*at, value as f64));
    Series { name: name.replace('_', " "), points: points.collect() }
}

/// The four rows a person asks about, as bars.
fn comparison_bars(all: &Comparison) -> String {
    let of = |get: fn(&super::super::compare::Compared) -> &Spread| -> Vec<Bar> {
        let bar = |it: &super::super::compare::Compared| {
            let spread = get(it);
            Bar { name: it.library.clone(), value: spread.median, ends: (spread.min, spread.max) }
        };
        all.libraries.iter().map(bar).collect()
    };
    let mut html = String::new();
    let rate = |value| format!("{} records/s", short(value));
    section(
        &mut html,
        "Throughput: more is better",
        &bars("throughput", &of(|it| &it.records_per_second), rate),
    );
    let micros = |value| format!("{} us", short(value));
    section(
        &mut html,
        "99th percentile of latency: less is better",
        &bars("p99", &of(|it| &it.p99_us), micros),
    );
    let cpu = |value| format!("{} s", short(value));
    let title = "Processor time of a million records: less is better";
    section(&mut html, title, &bars("cpu", &of(|it| &it.cpu_seconds_per_million), cpu));
    let memory = |value| units::human_size(value as u64);
    section(
        &mut html,
        "Peak memory: less is better",
        &bars("memory", &of(|it| &it.peak_memory_bytes), memory),
    );
    html
}

fn ratios(all: &[Ratios]) -> String {
    let cell = |ratio: &Ratio| format!("<td>{}</td>", escape(&text::ratio(ratio)));
    let row = |it: &Ratios| {
        format!(
            "<tr><td>{} to {}</td>{}{}{}{}</tr>",
            escape(&it.library),
            escape(&it.to),
            cell(&it.records_per_second),
            cell(&it.p99_us),
            cell(&it.cpu_seconds_per_million),
            cell(&it.peak_memory_bytes)
        )
    };
    let mut html = String::new();
    if !all.is_empty() {
        let head = "<th>ratio</th><th>throughput</th><th>p99</th><th>processor time</th><th>memory</th>";
        let rows: String = all.iter().map(row).collect();
        section(&mut html, "Ratios, round by round", &table("ratios", head, &rows));
    }
    html
}

fn differing(all: &Comparison) -> String {
    let mut html = String::new();
    if !all.differing.is_empty() {
        let names = all.libraries.iter().map(|it| format!("<th>{}</th>", escape(&it.library)));
        let head: String = std::iter::once("<th>setting</th>".to_owned()).chain(names).collect();
        let row = |it: &super::super::compare::Differing| {
            let values = it.values.iter().map(|(_, value)| shown(value.as_deref()));
            let cells: String = values.map(|value| format!("<td>{value}</td>")).collect();
            format!("<tr class=\"differs\"><td>{}</td>{cells}</tr>", escape(&it.key))
        };
        let rows: String = all.differing.iter().map(row).collect();
        section(&mut html, "Settings that are not the same for all", &table("differing", &head, &rows));
    }
    html
}

fn environment(run: &Run) -> String {
    let it = &run.environment;
    let broker = if it.embedded_broker { "embedded" } else { &it.brokers };
    let rows = [
        ("started", run.started.clone()),
        ("took", units::human_duration(Duration::from_secs_f64(run.seconds.max(0.0)))),
        ("kps", it.kps.clone()),
        ("library", format!("{} {}", it.library, it.library_version)),
        ("broker", broker.to_owned()),
        ("topic", it.topic.clone()),
        ("partitions", it.partitions.map_or("not asked for".to_owned(), |n| n.to_string())),
        ("load", text::load(run)),
        ("system", it.os.clone()),
        ("processor", format!("{}, {} cores", it.cpu, it.cores)),
    ];
    let row = |(name, value): &(&str, String)| format!("<tr><td>{name}</td><td>{}</td></tr>", escape(value));
    let rows: String = rows.iter().map(row).collect();
    let mut html = String::new();
    section(&mut html, "Environment", &table("environment", "", &rows));
    html
}

fn settings(run: &Run) -> String {
    let row = |it: &super::super::document::Setting| {
        let class = if it.origin == "default" { "" } else { " class=\"set\"" };
        let (key, origin) = (escape(&it.key), escape(&it.origin));
        format!("<tr{class}><td>{key}</td><td>{}</td><td>{origin}</td></tr>", shown(it.value.as_deref()))
    };
    let rows: String = run.settings.iter().map(row).collect();
    let mut html = String::new();
    let head = "<th>setting</th><th>value</th><th>from</th>";
    section(&mut html, "Settings in force", &table("settings", head, &rows));
    html
}

fn shown(value: Option<&str>) -> String {
    value.map_or_else(|| "<i>not set</i>".to_owned(), escape)
}

fn table(name: &str, head: &str, rows: &str) -> String {
    format!(
        "<div class=\"wide\"><table id=\"{name}\"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )
}

#[cfg(test)]
mod tests {
    use super::super::super::compare::tests::comparison;
    use super::super::super::document::tests::run;
    use super::*;

    fn json_in(page: &str) -> serde_json::Value {
        let json = page.split("id=\"report\">").nth(1).unwrap().split("</script>").next().unwrap();
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_page_has_its_charts_its_tables_and_its_json() {
        let page = page(&Report::One(Box::new(run("pipeline", 1000)))).unwrap();
        for expected in [
            "data-chart=\"over_time\"",
            "data-chart=\"latency\"",
            "id=\"environment\"",
            "id=\"settings\"",
            "99:990",
        ] {
            assert!(page.contains(expected), "{expected}");
        }
        assert_eq!(json_in(&page)["end_to_end"]["p99"], 990);
        assert!(!page.contains("http://") && !page.contains("https://"), "it needs no network");
    }

    #[test]
    fn a_comparison_has_bars_of_the_medians() {
        let page = page(&Report::Several(Box::new(comparison()))).unwrap();
        assert!(page.contains("data-bar=\"native\" data-value=\"2001\" data-min=\"2000\" data-max=\"2002\""));
        assert!(page.contains("<tr class=\"differs\"><td>kafka.producer.acks</td><td>all</td>"));
        assert_eq!(json_in(&page)["libraries"][1]["records_per_second"]["median"], 1000.0);
    }

    #[test]
    fn what_users_name_cannot_become_markup() {
        let mut run = run("publish", 10);
        run.environment.topic = "</script><b>".to_owned();
        let page = page(&Report::One(Box::new(run))).unwrap();
        assert!(!page.contains("<b>"), "{page}");
        assert_eq!(json_in(&page)["environment"]["topic"], "</script><b>");
    }
}
