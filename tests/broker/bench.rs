//! `kps bench` on every library: what it measures is what happened, and nothing of it is left behind.
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::app::{Kps, Library};
#[cfg(feature = "broker")]
use crate::harness::browser;
use crate::harness::kafka::{Kafka, Record};
use crate::{Ctx, Once, PerLibrary};

pub(crate) const TRIALS: &[PerLibrary] = &[
    ("bench::a_pipeline_is_verified", a_pipeline_is_verified),
    ("bench::records_are_as_asked", records_are_as_asked),
    ("bench::a_latency_run_keeps_its_schedule", a_latency_run_keeps_its_schedule),
    ("bench::subscribing_reads_what_is_there", subscribing_reads_what_is_there),
    ("bench::temporary_topics_go_and_named_ones_stay", temporary_topics_go_and_named_ones_stay),
    ("bench::temporary_topics_go_with_a_signal", temporary_topics_go_with_a_signal),
    ("bench::records_of_others_are_ignored_and_counted", records_of_others_are_ignored_and_counted),
    ("bench::duplicates_are_counted_and_fail", duplicates_are_counted_and_fail),
    ("bench::more_consumers_than_partitions_are_warned_of", more_consumers_than_partitions_are_warned_of),
    ("bench::lines_are_those_of_kafkas_tools", lines_are_those_of_kafkas_tools),
    ("bench::figures_are_those_of_an_outside_clock", figures_are_those_of_an_outside_clock),
    ("bench::two_machines_add_up", two_machines_add_up),
];

pub(crate) const ONCE: &[Once] = &[("bench::libraries_are_compared", libraries_are_compared)];

/// On a broker of its own.
pub(crate) const APART: &[(&str, fn())] = &[
    #[cfg(feature = "broker")]
    ("bench::a_page_shows_the_figures_of_the_json_in_a_browser", a_page_shows_the_figures_of_the_json),
];

fn bench(ctx: &Ctx, library: Library, args: &[&str]) -> Kps {
    Kps::new([&["bench"], args].concat()).on(ctx.kafka(), library)
}

fn report(ctx: &Ctx, library: Library, args: &[&str]) -> Value {
    let output = bench(ctx, library, args).args(["--output", "json"]).run().ok();
    serde_json::from_str(&output.text()).unwrap_or_else(|e| panic!("{e}\n{output}"))
}

fn count(kafka: &Kafka, topic: &str) -> i64 {
    kafka.end_offsets(topic).iter().sum()
}

/// Whether a topic is there: it may be on its way out for a moment.
fn is_there(kafka: &Kafka, topic: &str) -> bool {
    let start = Instant::now();
    loop {
        let told = kafka.helper().ask(&json!({"do": "end_offsets", "topic": topic}));
        match told {
            Err(refusal) if refusal.code == Some(3) => return false,
            _ if start.elapsed() > Duration::from_secs(5) => return true,
            _ => {}
        }
    }
}

fn a_pipeline_is_verified(ctx: &Ctx, library: Library) {
    let topic = ctx.kafka().topic("bench", 3);
    let args = ["pipeline", "-t", &topic, "--producers", "2", "--consumers", "2", "--messages", "20000"];
    let report = report(ctx, library, &[&args[..], &["--warmup", "1001"]].concat());
    let verified = json!({"sent": 21001, "received": 21001, "undelivered": 0, "lost": 0, "duplicates": 0,
        "reordered": 0, "foreign": 0});
    assert_eq!(report["verified"], verified);
    for side in ["publish", "subscribe"] {
        assert_eq!(
            (&report[side]["records"], &report[side]["bytes"]),
            (&json!(20000), &json!(2_000_000)),
            "{side}"
        );
    }
    for latency in [&report["end_to_end"], &report["service"], &report["publish"]["latency"]] {
        assert_eq!(latency["count"], 20000, "{report:#}");
        let ordered = ["min", "p50", "p90", "p95", "p99", "p99.9", "p99.99", "max"]
            .map(|p| latency[p].as_u64().unwrap());
        assert!(ordered.is_sorted() && ordered[7] > 0, "{ordered:?}");
    }
    let environment = &report["environment"];
    assert_eq!((&environment["partitions"], &environment["topic"]), (&json!(3), &json!(topic)));
    assert_eq!(environment["library"], library.name());
    let usage = &report["usage"];
    assert!(
        usage["peak_memory_bytes"].as_u64().unwrap() > 1 << 20
            && usage["user_seconds"].as_f64().unwrap() > 0.0
    );
    assert_eq!(count(ctx.kafka(), &topic), 21001);
}

fn records_are_as_asked(ctx: &Ctx, library: Library) {
    let kafka = ctx.kafka();
    let topic = kafka.topic("shape", 1);
    report(
        ctx,
        library,
        &["publish", "-t", &topic, "-n", "20", "--size", "40", "--key-size", "9", "--headers", "2"],
    );
    let records = kafka.contents(&topic);
    assert_eq!(records.len(), 20);
    for record in &records {
        let sizes = (record.key.as_ref().unwrap().len(), record.value.as_ref().unwrap().len());
        assert_eq!((sizes, record.headers.len()), ((9, 40), 2));
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("lines");
    std::fs::write(&file, "one\ntwo\n\nfour").unwrap();
    let topic = kafka.topic("lines", 1);
    let args = ["pipeline", "-t", &topic, "-n", "6", "--payload-file", file.to_str().unwrap()];
    let report = report(ctx, library, &args);
    assert_eq!(report["verified"]["received"], 6);
    let values: Vec<_> = kafka.contents(&topic).into_iter().map(|record| record.value.unwrap()).collect();
    assert_eq!(values, [&b"one"[..], b"two", b"", b"four", b"one", b"two"]);
}

fn a_latency_run_keeps_its_schedule(ctx: &Ctx, library: Library) {
    let start = Instant::now();
    let args = ["latency", "--rate", "200/s", "--duration", "2s", "--producers", "2", "--warmup", "50"];
    let report = report(ctx, library, &args);
    assert!(start.elapsed() >= Duration::from_secs(2));
    assert_eq!((&report["verified"]["sent"], &report["end_to_end"]["count"]), (&json!(450), &json!(400)));
    assert_eq!(report["rate"]["asked"], 200.0);
    let seconds = report["publish"]["seconds"].as_f64().unwrap();
    assert!((1.9..20.0).contains(&seconds), "{seconds}");
    // From when it was due takes no less than from when it was sent.
    for percentile in ["p50", "p99", "max"] {
        let of = |latency: &str| report[latency][percentile].as_u64().unwrap();
        assert!(of("end_to_end") >= of("service"), "{percentile}: {report:#}");
    }
}

fn subscribing_reads_what_is_there(ctx: &Ctx, library: Library) {
    let topic = ctx.kafka().topic("there", 2);
    report(ctx, library, &["publish", "-t", &topic, "-n", "5000", "--size", "50"]);
    let all = report(ctx, library, &["subscribe", "-t", &topic]);
    assert_eq!((&all["subscribe"]["records"], &all["subscribe"]["bytes"]), (&json!(5000), &json!(250_000)));
    let some = report(ctx, library, &["subscribe", "-t", &topic, "-n", "1000", "--warmup", "500"]);
    assert_eq!(some["subscribe"]["records"], 1000);
    assert_eq!((&some["publish"], &some["verified"]), (&Value::Null, &Value::Null));
    let filled = report(ctx, library, &["subscribe", "-n", "3000", "--consumers", "2"]);
    assert!(filled["subscribe"]["records"].as_u64().unwrap() >= 3000, "{filled:#}");
    assert_eq!(count(ctx.kafka(), &topic), 5000);
}

fn temporary_topics_go_and_named_ones_stay(ctx: &Ctx, library: Library) {
    let kafka = ctx.kafka();
    for workload in ["publish", "subscribe", "pipeline"] {
        let report = report(ctx, library, &[workload, "-n", "100", "--partitions", "2"]);
        let topic = report["environment"]["topic"].as_str().unwrap();
        assert!(
            topic.starts_with("kps-bench-") && report["environment"]["temporary_topic"] == true,
            "{topic}"
        );
        assert!(!is_there(kafka, topic), "{workload}: {topic} is still there");
    }
    let topic = kafka.topic("stays", 1);
    let report = report(ctx, library, &["publish", "-t", &topic, "-n", "100"]);
    assert_eq!(report["environment"]["temporary_topic"], false);
    assert_eq!(count(kafka, &topic), 100);
}

/// The temporary topic that a run tells of.
fn told_topic(told: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(told);
    let line = text.lines().find_map(|line| line.strip_prefix("kps: temporary topic "))?;
    line.split_once(':').map(|(topic, _)| topic.to_owned())
}

fn temporary_topics_go_with_a_signal(ctx: &Ctx, library: Library) {
    let args = ["latency", "--rate", "100/s", "--duration", "5m", "--output", "json"];
    for signals in [&[Signal::INT][..], &[Signal::TERM], &[Signal::INT, Signal::TERM], &[Signal::HUP]] {
        let run = bench(ctx, library, &args).spawn();
        let topic = told_topic(&run.until_stderr(|told| told_topic(told).is_some())).unwrap();
        // Records are under way.
        let start = Instant::now();
        while count(ctx.kafka(), &topic) == 0 {
            assert!(start.elapsed() < Duration::from_secs(60), "{signals:?}: nothing was published");
        }
        signals.iter().for_each(|signal| run.signal(*signal));
        let output = run.wait();
        let code = output.status.code();
        let expected = signals.iter().map(|signal| Some(128 + signal.as_raw())).collect::<Vec<_>>();
        assert!(expected.contains(&code), "{signals:?}: {code:?}\n{output}");
        if let [_] = signals {
            let report: Value = serde_json::from_str(&output.text()).unwrap();
            assert_eq!(
                (&report["complete"], &report["verified"]["lost"]),
                (&json!(false), &json!(0)),
                "{output}"
            );
        }
        assert!(!is_there(ctx.kafka(), &topic), "{signals:?}: {topic} is still there\n{output}");
    }
}

/// Starts a latency run on a topic and waits until its records come.
fn under_way(ctx: &Ctx, library: Library, topic: &str) -> crate::harness::process::Running {
    let args = ["latency", "-t", topic, "--rate", "100/s", "--duration", "4s", "--output", "json"];
    let run = bench(ctx, library, &args).spawn();
    let start = Instant::now();
    while count(ctx.kafka(), topic) < 5 {
        assert!(start.elapsed() < Duration::from_secs(60), "nothing was published");
    }
    run
}

fn records_of_others_are_ignored_and_counted(ctx: &Ctx, library: Library) {
    let topic = ctx.kafka().topic("shared", 1);
    ctx.kafka().produce(&topic, &[Record::of("before")], json!({}));
    let run = under_way(ctx, library, &topic);
    let others: Vec<_> = (0..7).map(|n| Record::of(n.to_string())).collect();
    ctx.kafka().produce(&topic, &others, json!({}));
    let report: Value = serde_json::from_str(&run.wait().ok().text()).unwrap();
    let verified = &report["verified"];
    assert_eq!((&verified["foreign"], &verified["received"]), (&json!(7), &json!(400)), "{report:#}");
    assert_eq!(report["subscribe"]["records"], 400);
}

fn duplicates_are_counted_and_fail(ctx: &Ctx, library: Library) {
    let topic = ctx.kafka().topic("twice", 1);
    let run = under_way(ctx, library, &topic);
    let copies: Vec<_> = ctx.kafka().contents(&topic).into_iter().take(3).collect();
    ctx.kafka().produce(&topic, &copies, json!({}));
    let output = run.wait().code(3).says("3 duplicates");
    let report: Value = serde_json::from_str(&output.text()).unwrap();
    let verified = &report["verified"];
    assert_eq!((&verified["duplicates"], &verified["lost"]), (&json!(3), &json!(0)), "{output}");
}

fn more_consumers_than_partitions_are_warned_of(ctx: &Ctx, library: Library) {
    let topic = ctx.kafka().topic("narrow", 2);
    let args = ["pipeline", "-t", &topic, "-n", "500", "--consumers", "3"];
    let output = bench(ctx, library, &args).run().ok();
    let warning = format!("kps: warning: topic {topic} has 2 partitions for 3 consumers: 1 of them idle\n");
    assert_eq!(output.err(), warning, "{output}");
}

fn lines_are_those_of_kafkas_tools(ctx: &Ctx, library: Library) {
    let topic = ctx.kafka().topic("lines", 1);
    let run = |args: &[&str]| {
        let args = [args, &["-t", &*topic, "--output", "kafka-perf"]].concat();
        bench(ctx, library, &args).run().ok().text()
    };
    let publish = run(&["publish", "-n", "3000"]);
    let pattern = r"^3000 records sent, \d+\.\d{6} records/sec \(\d+\.\d\d MB/sec\), \d+\.\d\d ms avg latency, \d+\.\d\d ms max latency, \d+ ms 50th, \d+ ms 95th, \d+ ms 99th, \d+ ms 99\.9th\.\n$";
    assert!(regex::Regex::new(pattern).unwrap().is_match(&publish), "{publish}");
    let subscribe = run(&["subscribe", "-n", "3000"]);
    let pattern = r"^start\.time, end\.time, data\.consumed\.in\.MB, MB\.sec, data\.consumed\.in\.nMsg, nMsg\.sec, rebalance\.time\.ms, fetch\.time\.ms, fetch\.MB\.sec, fetch\.nMsg\.sec\n(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d:\d{3}, ){2}0\.2861, \d+\.\d{4}, 3000, \d+\.\d{4}, 0, \d+, \d+\.\d{4}, \d+\.\d{4}\n$";
    assert!(regex::Regex::new(pattern).unwrap().is_match(&subscribe), "{subscribe}");
    let latency = run(&["latency", "-n", "50"]);
    let pattern = r"^Avg latency: \d+\.\d{4} ms\nPercentiles: 50th = \d+, 99th = \d+, 99\.9th = \d+\n$";
    assert!(regex::Regex::new(pattern).unwrap().is_match(&latency), "{latency}");
    let csv =
        bench(ctx, library, &["publish", "-t", &topic, "-n", "10", "--output", "csv"]).run().ok().text();
    let lines: Vec<Vec<&str>> = csv.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!((lines.len(), lines[0].len()), (2, lines[1].len()), "{csv}");
    assert_eq!((lines[1][1], lines[1][2], lines[1][4]), ("publish", library.name(), "10"));
}

/// At a rate, so that the run is long enough for start and end of the process not to matter.
fn figures_are_those_of_an_outside_clock(ctx: &Ctx, library: Library) {
    let topic = ctx.kafka().topic("clock", 2);
    let start = Instant::now();
    let report = report(ctx, library, &["publish", "-t", &topic, "--rate", "2000/s", "-n", "12000"]);
    let outside = start.elapsed().as_secs_f64();
    let offsets = count(ctx.kafka(), &topic);
    assert_eq!(report["publish"]["records"], offsets);
    let (told, seen) = (report["publish"]["records_per_second"].as_f64().unwrap(), offsets as f64 / outside);
    assert!((told / seen - 1.0).abs() < 0.15, "{told} told, {seen} by the clock");
}

fn two_machines_add_up(ctx: &Ctx, library: Library) {
    let dir = tempfile::tempdir().unwrap();
    let topic = ctx.kafka().topic("both", 2);
    let at = (chrono::Utc::now() + Duration::from_secs(4)).to_rfc3339();
    let args =
        ["latency", "-t", &topic, "-n", "200", "--rate", "100/s", "--start-at", &at, "--output", "json"];
    let runs = [(); 2].map(|()| bench(ctx, library, &args).spawn());
    let files: Vec<String> = runs
        .into_iter()
        .enumerate()
        .map(|(n, run)| {
            let output = run.wait().ok();
            let report: Value = serde_json::from_str(&output.text()).unwrap();
            assert_eq!(report["verified"]["received"], 200, "{output}");
            let path = dir.path().join(format!("{n}.json"));
            std::fs::write(&path, output.text()).unwrap();
            path.to_str().unwrap().to_owned()
        })
        .collect();
    let hlog = dir.path().join("all.hlog");
    let args = ["bench", "merge", &files[0], &files[1], "--output", "json", "--hlog", hlog.to_str().unwrap()];
    let merged: Value = serde_json::from_str(&Kps::new(args).run().ok().silent().text()).unwrap();
    assert_eq!((&merged["end_to_end"]["count"], &merged["verified"]["received"]), (&json!(400), &json!(400)));
    assert_eq!((&merged["load"]["producers"], &merged["rate"]["asked"]), (&json!(2), &json!(200.0)));
    let log = std::fs::read_to_string(&hlog).unwrap();
    assert!(log.lines().any(|line| line.starts_with("Tag=end_to_end,")), "{log}");
}

fn libraries_are_compared(ctx: &Ctx) {
    let libraries = Library::all();
    let names: Vec<&str> = libraries.iter().map(|library| library.name()).collect();
    let args =
        ["bench", "compare", "-n", "500", "--repeat", "2", "--output", "json", "--workload", "pipeline"];
    let compare = |more: &[&str]| {
        let all = names.join(",");
        let args = [&args[..], &["-b", ctx.kafka().address(), "--library", &all], more].concat();
        Kps::new(args).run()
    };
    let output = compare(&[]).ok();
    let report: Value = serde_json::from_str(&output.text()).unwrap();
    let order: Vec<_> =
        report["rounds"].as_array().unwrap().iter().map(|round| round["library"].as_str().unwrap()).collect();
    let rotated: Vec<&str> = names.iter().cycle().skip(1).take(names.len()).copied().collect();
    assert_eq!(order, [&names[..], &rotated].concat());
    for (library, name) in report["libraries"].as_array().unwrap().iter().zip(&names) {
        assert_eq!(library["library"], **name);
        for figure in ["records_per_second", "p99_us", "cpu_seconds_per_million", "peak_memory_bytes"] {
            let of = |end: &str| library[figure][end].as_f64().unwrap();
            assert!(0.0 < of("min") && of("min") <= of("median") && of("median") <= of("max"), "{library:#}");
        }
    }
    assert_eq!(report["ratios"].as_array().unwrap().len(), names.len() - 1);
    for round in report["rounds"].as_array().unwrap() {
        let topic = round["runs"][0]["environment"]["topic"].as_str().unwrap();
        assert!(!is_there(ctx.kafka(), topic), "{topic} is still there");
    }
    if names.contains(&"rskafka") && names.contains(&"native") {
        let differing = report["differing"].to_string();
        assert!(differing.contains("enable.idempotence"), "{differing}");
    }
    compare(&["-X", "no.such=1"]).code(2);
}

/// Measures what is drawn, and notes it in the page.
#[cfg(feature = "broker")]
const MEASURING: &str = r#"<script>
const root = document.documentElement;
root.dataset.fits = root.scrollWidth <= window.innerWidth;
const bars = [...document.querySelectorAll('[data-chart=throughput] [data-bar]')];
const longest = Math.max(...bars.map(bar => +bar.dataset.value));
const widest = Math.max(...bars.map(bar => bar.getBoundingClientRect().width));
for (const bar of bars) {
  const share = bar.getBoundingClientRect().width / widest - bar.dataset.value / longest;
  root.setAttribute('data-drawn-' + bar.dataset.bar, widest > 0 && Math.abs(share) < 0.02);
}
</script>"#;

/// The values of the bars of a library.
#[cfg(feature = "broker")]
fn drawn(dom: &str, library: &str) -> Vec<f64> {
    let bar = format!("data-bar=\"{library}\" data-value=\"");
    dom.split(&bar).skip(1).map(|rest| rest.split('"').next().unwrap().parse().unwrap()).collect()
}

#[cfg(feature = "broker")]
fn a_page_shows_the_figures_of_the_json() {
    let dir = tempfile::tempdir().unwrap();
    let page = dir.path().join("page.html");
    let args = [
        "bench",
        "compare",
        "-b",
        "embedded",
        "--messages",
        "500",
        "--repeat",
        "2",
        "--workload",
        "pipeline",
    ];
    let files = ["--output", "json", "--report", page.to_str().unwrap()];
    let json: Value =
        serde_json::from_str(&Kps::new([&args[..], &files].concat()).run().ok().text()).unwrap();
    let html = std::fs::read_to_string(&page).unwrap().replace("</body>", &format!("{MEASURING}</body>"));
    std::fs::write(&page, html).unwrap();
    for width in [1200, 500] {
        let dom = browser::opened(&page, width, dir.path());
        assert!(dom.contains("data-fits=\"true\""), "wider than a screen of {width}\n{dom}");
        for library in json["libraries"].as_array().unwrap() {
            let name = library["library"].as_str().unwrap();
            for figure in ["records_per_second", "p99_us", "cpu_seconds_per_million", "peak_memory_bytes"] {
                let median = library[figure]["median"].as_f64().unwrap();
                let drawn = drawn(&dom, name);
                // Numbers lose a last bit on their way through JSON.
                let is = |value: &&f64| (*value / median - 1.0).abs() < 1e-9;
                assert!(drawn.iter().any(|value| is(&value)), "no {figure} {median} of {name} in {drawn:?}");
            }
            let drawn = format!("data-drawn-{name}=\"true\"");
            assert!(dom.contains(&drawn), "{name} has no bar as long as its value in\n{dom}");
        }
        let round = &json["rounds"][0]["runs"][0];
        let p99 = format!(" 99:{} ", round["end_to_end"]["p99"]);
        assert!(dom.contains("data-chart=\"latency\"") && dom.contains(&p99), "no{p99}in\n{dom}");
        assert!(dom.contains("data-chart=\"over_time\""), "{dom}");
    }
}
