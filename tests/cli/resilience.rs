//! Settings of what is done about outages: their spellings, their mistakes, and lines for programs.
use serde_json::{Value, json};

use crate::harness::app::Kps;
use crate::one_line;

/// A port that nobody listens at.
const NOBODY: &str = "127.0.0.1:1";

#[test]
fn every_setting_has_a_key_a_flag_and_a_variable() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("application.properties");
    let text = "kafka.resilient=true\nkafka.resilient.reconnect.interval.seconds=0.5\n\
                kafka.resilient.spool.dir=/spool\n";
    std::fs::write(&file, text).unwrap();
    let kps = Kps::new(["config", "--output", "json", "-X", "resilient.buffer.max.bytes=16MiB"])
        .args(["--props", "application.properties"])
        .env("KPS_RESILIENT_RECONNECT_TRIES", "3")
        .dir(dir.path());
    let rows: Value = serde_json::from_str(&kps.run().ok().silent().text()).unwrap();
    let value = |key: &str| {
        let found = rows.as_array().unwrap().iter().find(|row| row["key"] == key);
        (found.unwrap()["value"].clone(), found.unwrap()["origin"].clone())
    };
    for (key, expected, origin) in [
        ("kafka.resilient", json!(true), "application.properties:1"),
        ("kafka.resilient.reconnect.interval.seconds", json!(0.5), "application.properties:2"),
        ("kafka.resilient.reconnect.tries", json!(3), "$KPS_RESILIENT_RECONNECT_TRIES"),
        ("kafka.resilient.reconnect.jitter", json!(20), "default"),
        ("kafka.resilient.buffer.max.messages", json!(10_000), "default"),
        ("kafka.resilient.buffer.max.bytes", json!(16 << 20), "-X resilient.buffer.max.bytes"),
        ("kafka.resilient.buffer.full", json!("block"), "default"),
        ("kafka.resilient.spool.dir", json!("/spool"), "application.properties:3"),
        ("kafka.drain.timeout.seconds", json!(30.0), "default"),
        ("kafka.log.format", json!("text"), "default"),
    ] {
        assert_eq!(value(key), (expected, json!(origin)), "{key}");
    }
}

#[test]
fn wrong_values_are_usage_errors_that_name_the_flag() {
    for (args, expected) in [
        (vec!["--reconnect-tries", "0"], "--reconnect-tries: \"0\" is not a whole number from 1 to 1000000"),
        (vec!["--reconnect-tries", "-1"], "--reconnect-tries: \"-1\" is not a whole number"),
        (
            vec!["--reconnect-interval", "soon"],
            "--reconnect-interval: \"soon\" is not a number of seconds from 0.01 to 86400",
        ),
        (vec!["--reconnect-interval", "-2"], "--reconnect-interval: \"-2\" is not a number of seconds"),
        (
            vec!["--reconnect-jitter", "101"],
            "--reconnect-jitter: \"101\" is not a whole number from 0 to 100",
        ),
        (vec!["--buffer-max-messages", "0"], "--buffer-max-messages: \"0\" is not a whole number"),
        (vec!["--buffer-max-bytes", "1 apple"], "--buffer-max-bytes: \"1 apple\" is not a size"),
        (vec!["--buffer-full", "drop"], "--buffer-full: \"drop\" is not block or fail"),
        (vec!["--spool-max-bytes", "1"], "--spool-max-bytes: \"1\" is not a size from 65536"),
        (vec!["--drain-timeout", "never"], "--drain-timeout: \"never\" is not a number of seconds"),
        (vec!["--failed-to", ""], "--failed-to: \"\" is not a name: it is empty"),
        (vec!["--log-format", "xml"], "--log-format: \"xml\" is not text or json"),
    ] {
        let line = one_line(Kps::new(["publish", "t", "-b", NOBODY]).args(&args), 2);
        assert!(line.contains(expected), "{args:?}: {line}");
    }
}

#[test]
fn what_does_not_go_together_is_told_with_both_places() {
    let line = |args: &[&str]| one_line(Kps::new(["publish", "t", "-b", NOBODY, "-m", "x"]).args(args), 2);
    let spool = line(&["--spool", "/s", "-X", "resilient=false"]);
    let expected = "resilient.spool.dir=/s (--spool) does not go with resilient=false (-X resilient)";
    assert!(spool.contains(expected), "{spool}");
    let transaction = line(&["--resilient", "-X", "transactional.id=t"]);
    let expected = "transactional.id=t (-X transactional.id) does not go with resilient=true (--resilient)";
    assert!(transaction.contains(expected), "{transaction}");
}

#[test]
fn lines_for_programs_are_objects() {
    let run = |args: &[&str]| Kps::new(["publish", "t", "--log-format", "json"]).args(args).run();
    let wrong = [&["-X", "nonsense=1"][..], &["-X", "acks"], &["--no-such"], &["-p", "x"]];
    for output in wrong.map(|args| run(args).code(2)) {
        for line in output.err().lines() {
            let object: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
            assert_eq!((&object["level"], &object["event"]), (&"error".into(), &"error".into()), "{line}");
            assert!(object["message"].is_string() && object["time"].is_string(), "{line}");
        }
    }
}

#[cfg(any(feature = "native", feature = "rdkafka", feature = "rskafka"))]
#[test]
fn the_summary_is_an_object_as_the_lines_are() {
    let resilient = [
        "--resilient",
        "-X",
        "resilient.reconnect.tries=1",
        "-X",
        "resilient.reconnect.interval.seconds=0.1",
        "-b",
        NOBODY,
        "-m",
        "x",
    ];
    let publish = ["publish", "t", "--log-format", "json"];
    let output = Kps::new(publish).args(resilient).run().code(4);
    let lines: Vec<Value> = output.err().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.iter().any(|line| line["failed"] == 1 && line["published"] == 0), "{output}");
}

// Only librdkafka logs in.
#[cfg(feature = "rdkafka")]
#[test]
fn a_secret_that_others_can_read_is_told() {
    use std::os::unix::fs::PermissionsExt;

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("application.properties");
    let publish = |more: &[&str]| {
        let kps =
            Kps::new(["publish", "t", "-m", "x", "-b", NOBODY, "-X", "security.protocol=SASL_PLAINTEXT"]);
        let kps = kps.args(["--props", "application.properties"]);
        let kps = kps.args(["-X", "sasl.mechanism=PLAIN", "-X", "sasl.username=u"]);
        kps.args(more).env("SECRET", "hunter2").dir(dir.path()).run().err()
    };
    let chmod = |mode| std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
    std::fs::write(&file, "kafka.sasl.password=hunter2\n").unwrap();
    chmod(0o644);
    let said = publish(&[]);
    assert!(said.contains("application.properties:1: a secret in a file that others can read"), "{said}");
    chmod(0o600);
    assert!(!publish(&[]).contains("secret"));
    std::fs::write(&file, "kafka.sasl.password=${SECRET}\n").unwrap();
    chmod(0o644);
    assert!(!publish(&[]).contains("secret"));
    let said = publish(&["-X", "sasl.password=hunter3"]);
    assert!(
        said.contains("-X sasl.password: a secret on the command line") && !said.contains("hunter"),
        "{said}"
    );
    assert!(said.contains("set $KPS_SASL_PASSWORD instead"), "{said}");
}
