//! Java's perf tools run, and count right.
use crate::harness::java;
use crate::harness::unique;
use crate::{Ctx, Once};

pub(crate) const ONCE: &[Once] = &[
    ("perf::java_producer_and_consumer", java_producer_and_consumer),
    ("perf::java_transactions", java_transactions),
    ("perf::java_end_to_end", java_end_to_end),
];

const COUNT: &str = "100000";

/// Runs `kafka-producer-perf-test` with records of 100 bytes.
fn produce(ctx: &Ctx, topic: &str, more: &[&str]) {
    let servers = format!("bootstrap.servers={}", ctx.kafka().address());
    let args = ["--topic", topic, "--num-records", COUNT, "--record-size", "100", "--throughput", "-1"];
    let args = [&args[..], more, &["--producer-props", &servers]].concat();
    let output = java::run("org.apache.kafka.tools.ProducerPerformance", &args);
    let last = output.text().lines().last().unwrap().to_owned();
    assert!(last.starts_with(&format!("{COUNT} records sent, ")), "{output}");
}

fn java_producer_and_consumer(ctx: &Ctx) {
    let topic = ctx.kafka().topic("perf", 3);
    produce(ctx, &topic, &[]);
    assert_eq!(ctx.kafka().end_offsets(&topic).iter().sum::<i64>().to_string(), COUNT);
    let args = ["--bootstrap-server", ctx.kafka().address(), "--topic", &topic, "--messages", COUNT];
    let output = java::run("org.apache.kafka.tools.ConsumerPerformance", &args);
    let text = output.text();
    let fields: Vec<_> = text.lines().last().unwrap().split(", ").collect();
    assert_eq!(fields[4], COUNT, "{output}");
}

fn java_transactions(ctx: &Ctx) {
    let topic = ctx.kafka().topic("perf", 1);
    let args = ["--transactional-id", &unique("perf"), "--transaction-duration-ms", "100"];
    produce(ctx, &topic, &args);
    // Each transaction left a marker.
    assert!(ctx.kafka().end_offsets(&topic)[0] > COUNT.parse().unwrap());
}

fn java_end_to_end(ctx: &Ctx) {
    let topic = ctx.kafka().topic("latency", 1);
    let args = [ctx.kafka().address(), &topic, "1000", "all", "100"];
    let output = java::run("org.apache.kafka.tools.EndToEndLatency", &args);
    assert!(output.text().contains("Percentiles: 50th = "), "{output}");
    assert_eq!(ctx.kafka().end_offsets(&topic), [1000]);
}
