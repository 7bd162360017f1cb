//! Where settings come from, which of them wins, and what is said about mistakes.
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::app::Kps;
use crate::{lines, one_line};

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    dir
}

/// `kps config ARGS` in a folder whose properties file counts.
fn config_in<'a>(dir: &Path, args: impl IntoIterator<Item = &'a str>) -> Kps {
    Kps::new(["config", "--output", "json"]).args(args).dir(dir)
}

/// The rows that `kps config --output json` prints.
#[track_caller]
fn rows(kps: Kps) -> Value {
    serde_json::from_str(&kps.run().ok().silent().text()).unwrap()
}

#[track_caller]
fn row(rows: &Value, key: &str) -> Value {
    let found = rows.as_array().unwrap().iter().find(|row| row["key"] == key);
    found.unwrap_or_else(|| panic!("{key} is not in {rows}")).clone()
}

/// Value and origin of a key.
#[track_caller]
fn in_force(rows: &Value, key: &str) -> (Value, String) {
    let row = row(rows, key);
    (row["value"].clone(), row["origin"].as_str().unwrap().to_owned())
}

#[test]
fn flags_win_over_overrides_over_environment_over_files_over_defaults() {
    let dir = folder(&[
        ("one.properties", "kafka.bootstrap.servers=one:1\n"),
        ("two.properties", "# two\nkafka.bootstrap.servers=two:2\n"),
    ]);
    let said = [
        ("flag:5", "-b"),
        ("override:4", "-X bootstrap.servers"),
        ("env:3", "$KPS_BOOTSTRAP_SERVER"),
        ("two:2", "two.properties:2"),
        ("one:1", "one.properties:1"),
        ("localhost:9092", "default"),
    ];
    for strongest in 0..said.len() {
        let mut kps = config_in(dir.path(), []);
        for layer in strongest..said.len() {
            kps = match layer {
                0 => kps.args(["-b", "flag:5"]),
                1 => kps.args(["-X", "bootstrap.servers=override:4"]),
                2 => kps.env("KPS_BOOTSTRAP_SERVER", "env:3"),
                3 if strongest == 3 => kps.args(["--props", "one.properties", "--props", "two.properties"]),
                3 => kps.args(["-F", "one.properties", "--config", "two.properties"]),
                4 if strongest == 4 => kps.args(["--props", "one.properties"]),
                _ => kps,
            };
        }
        let row = row(&rows(kps), "kafka.bootstrap.servers");
        let (value, origin) = said[strongest];
        assert_eq!((row["value"].clone(), &row["origin"]), (json!([value]), &json!(origin)));
        let lost: Vec<Value> = said[strongest + 1..5.max(strongest + 1)]
            .iter()
            .map(|(value, origin)| json!({"value": value.split(',').collect::<Vec<_>>(), "origin": origin}))
            .collect();
        assert_eq!(row["overridden"], json!(lost));
    }
}

#[test]
fn a_named_file_is_read_alone_and_a_found_one_over_the_users() {
    let linger = |ms: u32| format!("kafka.producer.linger.ms={ms}\n");
    let dir = folder(&[
        ("named.properties", &linger(1)),
        ("config.properties", &linger(2)),
        ("here/application.properties", &linger(3)),
        ("xdg/kps/application.properties", &(linger(4) + "kafka.client.id=xdg\n")),
        ("home/.config/kps/application.properties", &(linger(6) + "kafka.client.id=home\n")),
        ("empty/other", ""),
    ]);
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (here, empty) = (dir.path().join("here"), dir.path().join("empty"));
    let named = path("named.properties");
    let named = named.as_str();
    for (cwd, args, config, xdg, home, expected) in [
        (&here, vec!["--props", named], true, true, true, (1, "kps")),
        (&here, vec!["--props", named, "--no-props"], true, true, true, (1, "kps")),
        (&here, vec!["--no-props", "-F", named], true, true, true, (1, "kps")),
        (&here, vec![], true, true, true, (2, "kps")),
        (&here, vec![], false, true, true, (3, "xdg")),
        (&here, vec![], false, false, true, (3, "home")),
        (&here, vec![], false, false, false, (3, "kps")),
        (&empty, vec![], false, true, true, (4, "xdg")),
        (&empty, vec![], false, false, true, (6, "home")),
        (&empty, vec![], false, false, false, (5, "kps")),
        (&here, vec!["--no-props"], true, true, true, (5, "kps")),
    ] {
        let mut kps = config_in(cwd, args);
        for (set, name, value) in [
            (config, "KPS_CONFIG", path("config.properties")),
            (xdg, "XDG_CONFIG_HOME", path("xdg")),
            (home, "HOME", path("home")),
        ] {
            kps = if set { kps.env(name, &value) } else { kps };
        }
        let rows = rows(kps);
        let (linger, _) = in_force(&rows, "kafka.producer.linger.ms");
        let (id, _) = in_force(&rows, "kafka.client.id");
        assert_eq!((linger, id), (json!(expected.0), json!(expected.1)));
    }
}

#[test]
fn the_settings_that_a_found_file_won_over_are_shown() {
    let dir = folder(&[
        ("here/application.properties", "kafka.producer.linger.ms=3\n"),
        ("xdg/kps/application.properties", "#\nkafka.producer.linger.ms=4\n"),
    ]);
    let xdg = dir.path().join("xdg").to_str().unwrap().to_owned();
    let rows = rows(config_in(&dir.path().join("here"), []).env("XDG_CONFIG_HOME", &xdg));
    let row = row(&rows, "kafka.producer.linger.ms");
    assert_eq!(row["origin"], "application.properties:1");
    let lost = json!([{"value": 4, "origin": format!("{xdg}/kps/application.properties:2")}]);
    assert_eq!(row["overridden"], lost);
}

#[test]
fn a_file_that_was_named_must_be_readable() {
    let dir = folder(&[("folder/x", "")]);
    let cannot = "cannot be read";
    for (kps, name, why) in [
        (config_in(dir.path(), ["--props", "gone.properties"]), "gone.properties: ", "No such file"),
        (config_in(dir.path(), ["--props", "folder"]), "folder: ", "directory"),
        (config_in(dir.path(), []).env("KPS_CONFIG", "gone"), "gone: ", "No such file"),
        (Kps::new(["publish", "t", "-F", "gone.json"]).dir(dir.path()), "gone.json: ", "No such file"),
    ] {
        let line = one_line(kps, 2);
        assert!(line.starts_with(name) && line.contains(cannot) && line.contains(why), "{line}");
    }
}

#[test]
fn all_mistakes_are_told_at_once_each_with_its_place() {
    let dir = folder(&[(
        "application.properties",
        "server.port=8080\n\
         kafka.producer.acks=2\n\
         kafka.linger.ms=5\n\
         \n\
         kafka.consumer.gruop.id=g\n\
         kafka.client.id=${GONE}\n",
    )]);
    let output = config_in(
        dir.path(),
        ["--props", "application.properties", "--library", "x", "-X", "lingr.ms=3", "-X", "acks"],
    )
    .env("KPS_PRODUCER_ACK", "1")
    .run()
    .code(2)
    .prints("");
    let said = lines(&output);
    for expected in [
        "--library: \"x\" is not auto, native, rdkafka or rskafka",
        "-X acks: -X takes KEY=VALUE",
        "-X lingr.ms: unknown key, did you mean linger.ms?",
        "$KPS_PRODUCER_ACK: unknown key, did you mean $KPS_PRODUCER_ACKS?",
        "application.properties:2: kafka.producer.acks: \"2\" is not all, 1 or 0",
        "application.properties:3: kafka.linger.ms is a setting of the producer: write kafka.producer.linger.ms",
        "application.properties:5: unknown key kafka.consumer.gruop.id, did you mean kafka.consumer.group.id?",
        "application.properties:6: $GONE is not set",
    ] {
        assert!(said.iter().any(|line| line == expected), "not said: {expected}\n{output}");
    }
    assert_eq!(said.len(), 8, "{output}");
}

#[test]
fn two_spellings_of_a_setting_name_both() {
    let dir = folder(&[(
        "application.properties",
        "kafka.producer.linger.ms=5\nkafka.producer.queue.buffering.max.ms=6\n",
    )]);
    let line = one_line(config_in(dir.path(), []), 2);
    assert_eq!(
        line,
        "application.properties:2: queue.buffering.max.ms and linger.ms (application.properties:1) are one setting: \
         delete one of them"
    );
    let line = one_line(Kps::new(["config", "-X", "acks=1", "-X", "request_required_acks=all"]), 2);
    assert!(line.contains("request_required_acks and acks (-X acks)"), "{line}");
}

#[test]
fn every_spelling_means_the_same_in_its_own_unit() {
    for typed in ["queue.buffering.max.kbytes=2048", "buffer.memory=2097152", "buffer_memory=2097152"] {
        let rows = rows(Kps::new(["config", "--output", "json", "-X", typed]));
        assert_eq!(in_force(&rows, "kafka.producer.buffer.memory").0, 2_097_152, "{typed}");
    }
}

#[test]
fn placeholders_take_the_environment_defaults_and_files() {
    let dir = folder(&[
        (
            "application.properties",
            "kafka.bootstrap.servers=${BROKER_HOST}:1,${OTHER:b:2}\n\
             kafka.client.id=${file:id.txt}\n\
             app.secret=${NOT_OURS}\n",
        ),
        ("id.txt", "from-a-file\n"),
    ]);
    let kps = config_in(dir.path(), ["--props", "application.properties"]);
    let rows = rows(kps.env("BROKER_HOST", "a"));
    assert_eq!(in_force(&rows, "kafka.bootstrap.servers").0, json!(["a:1", "b:2"]));
    assert_eq!(in_force(&rows, "kafka.client.id").0, "from-a-file");
}

#[test]
fn a_file_written_for_the_python_libraries_works_as_it_stands() {
    let text = "kafka.library=confluent-kafka\n\
                kafka.bootstrap.servers=localhost:9092,localhost:9093\n\
                kafka.producer.acks=all\n\
                kafka.producer.retries=3\n\
                kafka.consumer.group.id=my_app_group\n\
                kafka.consumer.auto.offset.reset=earliest\n";
    let dir = folder(&[("application.properties", text)]);
    let rows = rows(config_in(dir.path(), []));
    for (line, key, value) in [
        (1, "kafka.library", json!("rdkafka")),
        (2, "kafka.bootstrap.servers", json!(["localhost:9092", "localhost:9093"])),
        (3, "kafka.producer.acks", json!("all")),
        (4, "kafka.producer.retries", json!(3)),
        (5, "kafka.consumer.group.id", json!("my_app_group")),
        (6, "kafka.consumer.auto.offset.reset", json!("earliest")),
    ] {
        let origin = format!("application.properties:{line}");
        assert_eq!(in_force(&rows, key), (value, origin), "{key}");
    }
}

#[test]
fn the_example_is_accepted() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/application.properties");
    let dir = folder(&[]);
    let rows = rows(config_in(dir.path(), ["--props", example]).env("KAFKA_BROKERS", "a:1"));
    assert_eq!(in_force(&rows, "kafka.bootstrap.servers").0, json!(["a:1"]));
    // What is commented out is as good as the rest.
    let text = std::fs::read_to_string(example).unwrap().replace("\n#kafka.", "\nkafka.");
    let dir = folder(&[("all.properties", &text.replace("${file:/run/secrets/kafka}", "secret"))]);
    config_in(dir.path(), ["--props", "all.properties"]).env("KAFKA_USER", "me").run().ok().silent();
}

#[test]
fn a_json_configuration_is_that_of_a_publisher_a_subscriber_or_a_node() {
    let dir = folder(&[
        (
            "publisher.json",
            r#"{"destination": "kafka://topic/orders", "bootstrap_servers": ["a:1", "b:2"],
                "kafka_library": "kafka-python", "producer_config": {"linger_ms": 7},
                "confluent_config": {"linger.ms": 9}}"#,
        ),
        (
            "subscriber.json",
            r#"{"source": "kafka://topic/orders", "bootstrap_servers": "a:1", "group_id": "billing",
                "kafka_library": "confluent-kafka", "consumer_config": {"fetch_max_wait_ms": 7},
                "confluent_config": {"fetch.wait.max.ms": 9, "statistics.interval.ms": 0}}"#,
        ),
        (
            "node.json",
            r#"{"name": "reader", "type": "DataSubscriberNode",
                "config": {"source": "orders", "bootstrap_servers": ["a:1"]}}"#,
        ),
    ]);
    let of = |file| rows(config_in(dir.path(), ["--props", file]));
    let rows = of("publisher.json");
    assert_eq!(in_force(&rows, "kafka.bootstrap.servers").0, json!(["a:1", "b:2"]));
    assert_eq!(in_force(&rows, "kafka.library").0, "rskafka");
    let linger = (json!(7), "publisher.json: producer_config.linger_ms".to_owned());
    assert_eq!(in_force(&rows, "kafka.producer.linger.ms"), linger);

    let rows = of("subscriber.json");
    assert_eq!(in_force(&rows, "kafka.library").0, "rdkafka");
    assert_eq!(in_force(&rows, "kafka.consumer.group.id").0, "billing");
    assert_eq!(in_force(&rows, "kafka.consumer.fetch.max.wait.ms").0, 9);
    assert_eq!(in_force(&rows, "kafka.rdkafka.statistics.interval.ms").0, "0");

    let rows = of("node.json");
    assert_eq!(in_force(&rows, "kafka.library").0, "rskafka");
    assert_eq!(in_force(&rows, "kafka.consumer.group.id").0, "reader_group");
}

#[test]
fn a_configuration_can_name_the_topic() {
    let dir = folder(&[("publisher.json", r#"{"destination": "kafka://topic/a b"}"#), ("p.json", "{}")]);
    let publish = |file| Kps::new(["publish", "--props", file, "-m", "x"]).dir(dir.path());
    let line = one_line(publish("publisher.json"), 2);
    assert!(line.starts_with("publisher.json: destination: \"a b\" is not a topic name"), "{line}");
    assert_eq!(one_line(publish("p.json"), 2), "no topic: kps publish TOPIC");
}

#[test]
fn broken_json_and_unknown_members_have_their_place() {
    let dir = folder(&[
        ("broken.json", "{\n  \"source\": \"t\",\n}"),
        ("unknown.json", r#"{"sourse": "t"}"#),
        ("list.json", "[]"),
    ]);
    for (file, expected) in [
        ("broken.json", "broken.json:3: broken JSON at column 1"),
        ("unknown.json", "unknown.json: sourse: unknown member, did you mean source?"),
        ("list.json", "list.json: is not a JSON object"),
    ] {
        let line = one_line(config_in(dir.path(), ["--props", file]), 2);
        assert!(line.starts_with(expected), "{line}");
    }
}

#[test]
fn secrets_are_never_shown() {
    let secret = "hunter2";
    let dir = folder(&[("application.properties", "kafka.sasl.password=hunter2-file\n")]);
    let set = |args: &[&str]| {
        let kps = Kps::new(args).dir(dir.path()).env("KPS_SASL_PASSWORD", "hunter2-env");
        let kps = kps.args(["--props", "application.properties"]);
        kps.args(["-X", "ssl.key.password=hunter2", "-X", "rdkafka.ssl.keystore.password=hunter2"])
    };
    let said = |kps: Kps| {
        let output = kps.run();
        (output.text() + &output.err(), output.status.code())
    };
    for form in ["text", "json"] {
        let (text, code) = said(set(&["config", "--output", form]));
        assert_eq!(code, Some(0), "{text}");
        assert!(text.matches("[hidden]").count() >= 4 && !text.contains(secret), "{text}");
    }
    for mistake in [
        &["config", "-X", "sasl.pasword=hunter2"][..],
        &["config", "-X", "sasl.password=hunter2", "-X", "sasl_plain_password=hunter2"],
        &["config", "-X", "acks=7", "-X", "rdkafka.sasl.password=hunter2"],
        &["publish", "t", "-m", "x", "--library", "rskafka", "-X", "sasl.password=hunter2"],
        &["publish", "t", "-m", "x", "-vvv", "-b", "127.0.0.1:1", "-X", "sasl.password=hunter2"],
        &["publish", "t", "-m", "x", "-vvv", "-b", "127.0.0.1:1", "-X", "rdkafka.debug=all"],
    ] {
        let (text, code) = said(set(mistake));
        assert_ne!(code, Some(0), "{mistake:?}: {text}");
        assert!(!text.contains(secret), "{mistake:?}: {text}");
    }
}

#[test]
fn a_profile_is_under_all_that_is_set_explicitly() {
    let config = |args: &[&str]| rows(Kps::new(["config", "--output", "json"]).args(args));
    let rows = config(&["--profile", "high-throughput", "-X", "linger.ms=3"]);
    let profile = "profile high-throughput".to_owned();
    assert_eq!(in_force(&rows, "kafka.producer.acks"), (json!("1"), profile.clone()));
    assert_eq!(in_force(&rows, "kafka.producer.compression.type"), (json!("lz4"), profile.clone()));
    assert_eq!(in_force(&rows, "kafka.consumer.fetch.min.bytes"), (json!(100_000), profile));
    assert_eq!(in_force(&rows, "kafka.producer.linger.ms"), (json!(3), "-X linger.ms".to_owned()));
    let rows = config(&["-X", "profile=low-latency"]);
    assert_eq!(in_force(&rows, "kafka.producer.linger.ms").0, 0);
}

#[test]
fn settings_of_the_other_group_protocol_are_refused() {
    let dir = folder(&[]);
    for [protocol, other] in [
        ["consumer", "session.timeout.ms=9000"],
        ["consumer", "heartbeat.interval.ms=100"],
        ["consumer", "partition.assignment.strategy=range"],
        ["classic", "group.remote.assignor=range"],
    ] {
        let protocol = format!("group.protocol={protocol}");
        let run = config_in(dir.path(), ["-X", &protocol, "-X", other]).run().code(2);
        run.says("does not go with").says(other).says(&protocol);
    }
    config_in(dir.path(), ["-X", "group.protocol=consumer", "-X", "group.remote.assignor=range"]).run().ok();
}

#[test]
fn values_that_do_not_go_together_name_both_places() {
    let typed = ["config", "-X", "enable.idempotence=true", "-X", "acks=1"];
    let line = one_line(Kps::new(typed), 2);
    assert_eq!(
        line,
        "-X enable.idempotence: enable.idempotence=true (-X enable.idempotence) does not go with acks=1 (-X acks)"
    );
}

#[test]
fn text_has_a_line_for_every_setting() {
    let text = Kps::new(["config", "-X", "acks=1"]).run().ok().silent().text();
    let rows = rows(Kps::new(["config", "--output", "json", "-X", "acks=1"]));
    assert_eq!(text.lines().count(), rows.as_array().unwrap().len());
    let acks = text.lines().find(|line| line.starts_with("kafka.producer.acks ")).unwrap();
    assert_eq!(acks.split_whitespace().collect::<Vec<_>>(), ["kafka.producer.acks", "1", "-X", "acks"]);
}
