//! Settings with a broker behind them: files as they stand, and what a library cannot do.
use std::path::Path;

use serde_json::json;

use crate::harness::app::{Kps, Library};
use crate::harness::kafka::Record;
use crate::harness::unique;
use crate::{Ctx, Once, PerLibrary};

pub(crate) const ONCE: &[Once] = &[
    ("settings::a_properties_file_as_it_stands", a_properties_file_as_it_stands),
    ("settings::environment_and_flags", environment_and_flags),
    ("settings::a_json_file_without_a_library_runs_rskafka", a_json_file_without_a_library_runs_rskafka),
];

pub(crate) const TRIALS: &[PerLibrary] = &[
    ("settings::json_files_name_topic_and_brokers", json_files_name_topic_and_brokers),
    ("settings::profiles_run", profiles_run),
    ("settings::spellings_of_other_clients", spellings_of_other_clients),
    ("settings::what_it_cannot_do_is_refused", what_it_cannot_do_is_refused),
    ("settings::a_named_node_is_a_group", a_named_node_is_a_group),
];

/// For libraries that have transactions.
pub(crate) const WITH_TRANSACTIONS: &[PerLibrary] = &[("settings::one_transaction", one_transaction)];

fn folder_with(name: &str, content: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(name), content).unwrap();
    dir
}

fn a_properties_file_as_it_stands(ctx: &Ctx) {
    let dir = folder_with(
        "application.properties",
        "kafka.library=confluent-kafka\nkafka.bootstrap.servers=localhost:9092,localhost:9093\n\
         kafka.producer.acks=all\nkafka.producer.retries=3\n\
         kafka.consumer.group.id=my_app_group\nkafka.consumer.auto.offset.reset=earliest\n",
    );
    let topic = ctx.kafka().topic("properties", 1);
    let run = |args: &[&str]| Kps::new(args).args(["-b", ctx.kafka().address()]).dir(dir.path());
    run(&["publish", &topic, "-m", "a"])
        .run()
        .ok()
        .says("kps: using ./application.properties: library, acks, retries\n");
    let said = "kps: using ./application.properties: library, auto.offset.reset\n\
                kps: reading as group my_app_group (application.properties:5), which commits; --no-group reads without one\n";
    let output = run(&["subscribe", &topic, "--exit"]).run().ok().prints("a\n");
    assert_eq!(output.err(), said);
    assert_eq!(ctx.kafka().committed("my_app_group", &topic, 0), Some(1));
    run(&["subscribe", &topic, "--exit"]).run().ok().prints("");
    run(&["subscribe", &topic, "--exit", "-g", &unique("group")]).run().ok().prints("a\n");
    for alone in [&["--no-group"][..], &["-g", ""], &["-p", "0"]] {
        let output =
            run(&["subscribe", &topic, "--exit", "-q"]).args(alone).run().ok().prints("a\n").silent();
        assert_eq!(ctx.kafka().committed("my_app_group", &topic, 0), Some(1), "{output}");
    }
}

fn environment_and_flags(ctx: &Ctx) {
    let topic = ctx.kafka().topic("environment", 1);
    let run = |args: &[&str]| Kps::new(args).env("KPS_BOOTSTRAP_SERVER", ctx.kafka().address());
    run(&["publish", &topic, "-m", "a"]).run().ok();
    run(&["subscribe", &topic, "--exit"]).run().ok().prints("a\n");
    let group = unique("group");
    let grouped = run(&["subscribe", &topic, "--exit"]).env("KPS_CONSUMER_GROUP_ID", &group);
    grouped.env("KPS_CONSUMER_AUTO_OFFSET_RESET", "earliest").run().ok().prints("a\n");
    assert_eq!(ctx.kafka().committed(&group, &topic, 0), Some(1));
    let over = run(&["subscribe", &topic, "--exit", "-b", "127.0.0.1:1", "-X"]);
    over.args(["socket.connection.setup.timeout.ms=1000"]).run().code(4).says("127.0.0.1:1");
}

fn config(dir: &Path) -> String {
    dir.join("config.json").to_str().unwrap().to_owned()
}

fn json_files_name_topic_and_brokers(ctx: &Ctx, library: Library) {
    let topic = ctx.kafka().topic("json", 1);
    let publisher = folder_with(
        "config.json",
        &json!({
            "destination": format!("kafka://topic/{topic}"),
            "bootstrap_servers": [ctx.kafka().address()],
            "kafka_library": library.name(),
            "producer_config": {"acks": "all", "linger_ms": 5, "retries": 3},
            "confluent_config": {"acks": "all", "linger.ms": 5},
        })
        .to_string(),
    );
    Kps::new(["publish", "--config", &config(publisher.path()), "-m", "a"]).dir(publisher.path()).run().ok();
    let subscriber = folder_with(
        "config.json",
        &json!({
            "source": topic, "bootstrap_servers": ctx.kafka().address(), "kafka_library": library.name(),
            "consumer_config": {"fetch_max_wait_ms": 100}, "confluent_config": {"fetch.wait.max.ms": 100},
        })
        .to_string(),
    );
    let args = ["subscribe", "--config", &config(subscriber.path()), "--exit"];
    Kps::new(args).dir(subscriber.path()).run().ok().prints("a\n");
}

fn a_json_file_without_a_library_runs_rskafka(ctx: &Ctx) {
    let topic = ctx.kafka().topic("json", 1);
    let content = json!({"destination": topic, "bootstrap_servers": ctx.kafka().address()});
    let dir = folder_with("config.json", &content.to_string());
    let args = ["publish", "--config", &config(dir.path()), "-m", "a", "--summary", "json"];
    Kps::new(args).dir(dir.path()).run().ok().says(r#""library":"rskafka""#);
}

fn a_named_node_is_a_group(ctx: &Ctx, library: Library) {
    let (topic, name) = (ctx.kafka().topic("node", 1), unique("reader"));
    ctx.kafka().produce(&topic, &[Record::of("a")], json!({}));
    let content = json!({
        "name": name, "type": "DataSubscriberNode",
        "config": {
            "source": format!("kafka://topic/{topic}"), "bootstrap_servers": [ctx.kafka().address()],
            "kafka_library": library.name(), "confluent_config": {"auto.offset.reset": "earliest"},
            "consumer_config": {"auto_offset_reset": "earliest"},
        },
    });
    let dir = folder_with("config.json", &content.to_string());
    let args = ["subscribe", "--config", &config(dir.path()), "--exit"];
    Kps::new(args).dir(dir.path()).run().ok().prints("a\n");
    assert_eq!(ctx.kafka().committed(&format!("{name}_group"), &topic, 0), Some(1));
}

fn profiles_run(ctx: &Ctx, library: Library) {
    for profile in ["high-throughput", "low-latency"] {
        let topic = ctx.kafka().topic("profile", 1);
        let args = ["--profile", profile];
        Kps::publish(ctx.kafka(), library, &topic).args(args).input("a\nb\n").run().ok();
        Kps::subscribe(ctx.kafka(), library, &topic).args(args).args(["--exit"]).run().ok().prints("a\nb\n");
    }
}

fn spellings_of_other_clients(ctx: &Ctx, library: Library) {
    for [codec, linger, size] in [
        ["compression.type=gzip", "linger.ms=1", "batch.size=20000"],
        ["compression.codec=gzip", "queue.buffering.max.ms=1", "batch.size=20000"],
        ["compression_type=gzip", "linger_ms=1", "batch_size=20000"],
    ] {
        let topic = ctx.kafka().topic("spelling", 1);
        let args = ["-X", codec, "-X", linger, "-X", size, "-m", "v"];
        Kps::publish(ctx.kafka(), library, &topic).args(args).run().ok();
        assert_eq!(ctx.kafka().contents(&topic), [Record::of("v")]);
    }
}

fn what_it_cannot_do_is_refused(ctx: &Ctx, library: Library) {
    let topic = ctx.kafka().topic("refused", 1);
    let publish =
        ["enable.idempotence=true", "compression.level=3", "partitioner=fnv1a", "rdkafka.linger.ms=1"];
    let subscribe = ["isolation.level=read_uncommitted", "client.rack=r"];
    let asked =
        publish.map(|key| ("publish", key)).into_iter().chain(subscribe.map(|key| ("subscribe", key)));
    for (command, setting) in asked {
        let exit = if command == "subscribe" { &["--exit"][..] } else { &[] };
        let run = |kps: Kps| kps.args(exit).args(["-X", setting]).input("v\n").run();
        let on = run(Kps::new([command, &topic]).on(ctx.kafka(), library));
        match library {
            Library::Rdkafka => drop(on.ok()),
            Library::Native if setting != "rdkafka.linger.ms=1" => drop(on.ok()),
            Library::Native | Library::Rskafka => drop(
                on.code(2)
                    .says(setting.split_once('=').unwrap().0)
                    .says("-X")
                    .says("--library rdkafka")
                    .prints(""),
            ),
        }
        // Left to itself it takes the library that can.
        run(Kps::new([command, &topic, "-b", ctx.kafka().address()])).ok();
    }
}

/// All of a run is one transaction: nothing of it is there before its end, and all of it after.
fn one_transaction(ctx: &Ctx, library: Library) {
    let topic = ctx.kafka().topic_with("transaction", 1, json!({"max.message.bytes": "2000"}));
    let id = format!("transactional.id={}", unique("id"));
    let read = || Kps::subscribe(ctx.kafka(), library, &topic).args(["--exit"]).run().ok();
    let publish = || Kps::publish(ctx.kafka(), library, &topic).args(["-X", &id]);
    let mut running = publish().args(["--receipts"]).spawn();
    running.write(b"a\n");
    running.take_line();
    read().prints("");
    running.write(b"b\n");
    running.wait().ok();
    read().prints("a\nb\n");

    let input = format!("c\n{}\n", "x".repeat(3000));
    publish().input(input).run().code(3).says("not committed");
    read().prints("a\nb\n");
    let all = ["--exit", "-X", "isolation.level=read_uncommitted"];
    Kps::subscribe(ctx.kafka(), library, &topic).args(all).run().ok().prints("a\nb\n");
}
