//! Which settings files are read, how far each is trusted, and how much and how long is read of each.
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, Mode, mkfifoat};
use tempfile::TempDir;

use crate::harness::app::Kps;
use crate::one_line;

const FOUND: &str = "application.properties";
const WAY_OUT: &str = "--props ./application.properties";
/// Each command that reads settings.
const COMMANDS: [&[&str]; 9] = [
    &["publish", "t", "-m", "x"],
    &["subscribe", "t"],
    &["bench", "publish"],
    &["bench", "compare"],
    &["topics"],
    &["offsets", "t"],
    &["groups"],
    &["config"],
    &["libs"],
];

/// A folder with a file in it that is found there.
fn folder(text: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(FOUND), text).unwrap();
    dir
}

fn publish(dir: &Path) -> Kps {
    Kps::new(["publish", "t", "-m", "x", "-X", "delivery.timeout.ms=1000"]).dir(dir)
}

#[test]
fn a_found_file_runs_no_code_opens_no_file_and_weakens_no_security() {
    for line in [
        "kafka.rdkafka.plugin.library.paths=./evil.so",
        "kafka.rdkafka.enable.ssl.certificate.verification=false",
        "kafka.rdkafka.ssl.key.password=hunter2",
        "kafka.rdkafka.debug=all",
        "kafka.enable.ssl.certificate.verification=false",
        "kafka.client.id=${AWS_SECRET_ACCESS_KEY}",
        "kafka.client.id=mine",
        "kafka.client.rack=${file:/etc/hostname}",
        "kafka.bootstrap.servers=${AWS_SECRET_ACCESS_KEY}",
        "kafka.bootstrap.servers=${file:/etc/hostname}:9092",
        "kafka.consumer.group.id=${HOME}",
        "kafka.producer.linger.ms=${LINGER:5}",
        "kafka.security.protocol=PLAINTEXT",
        "kafka.producer.security_protocol=SASL_PLAINTEXT",
        "kafka.ssl.endpoint.identification.algorithm=none",
        "kafka.ssl.ca.location=./evil.pem",
        "kafka.ssl_cafile=./evil.pem",
        "kafka.ssl.truststore.location=./evil.pem",
        "kafka.sasl.mechanism=PLAIN",
        "kafka.sasl.username=hunter2",
        "kafka.sasl.password=hunter2",
        "kafka.sasl.jaas.config=hunter2",
        "kafka.sasl.oauthbearer.token.endpoint.url=http://evil",
        "kafka.resilient.failed.file=.bashrc",
        "kafka.resilient.spool.dir=spool",
        "kafka.producer.transactional.id=x",
        "kafka.consumer.group.instance.id=x",
        // Escapes and continued lines are resolved first.
        "\\u006bafka.rdkafka\\u002edebug=all",
        "kafka.rdkafka.\\\n   debug=all",
    ] {
        let dir = folder(&format!("server.port=8080\n{line}\n"));
        let key = match line.split_once('=').unwrap().0 {
            key if key.contains('\\') => "kafka.rdkafka.debug",
            key => key,
        };
        for command in COMMANDS {
            let kps =
                Kps::new(command).dir(dir.path()).env("AWS_SECRET_ACCESS_KEY", "hunter2").env("HOME", "/h");
            let said = one_line(kps, 2);
            assert!(said.starts_with(&format!("application.properties:2: {key}")), "{command:?}: {said}");
            assert!(said.contains(WAY_OUT) && !said.contains("hunter2"), "{command:?}: {said}");
        }
        let names: Vec<_> =
            fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, [FOUND], "{line}");
        let trusted = Kps::new(["config", "--props", "./application.properties"]).dir(dir.path());
        let output = trusted.env("AWS_SECRET_ACCESS_KEY", "a").env("HOME", "/h").run();
        assert!(!output.err().contains(WAY_OUT), "{line}: {output}");
    }
}

#[test]
fn all_that_a_found_file_may_not_set_is_told_at_once() {
    let dir = folder(
        "kafka.client.id=a\nkafka.producer.acks=1\nkafka.ssl.key.location=k\nkafka.rdkafka.debug=all\n",
    );
    let output = Kps::new(["config", "-X", "lingr.ms=1"]).dir(dir.path()).run().code(2).prints("");
    let said = output.err();
    assert_eq!(said.lines().count(), 4, "{said}");
    for part in [
        "-X lingr.ms: ",
        "properties:1: kafka.client.id",
        "properties:3: kafka.ssl",
        "properties:4: kafka.rd",
    ] {
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn a_found_file_is_never_json() {
    for text in [
        r#"{"confluent_config": {"plugin.library.paths": "./evil.so"}}"#,
        " \n\t{}",
        "\u{feff}{\"destination\": \"t\"}",
        "{not even json",
    ] {
        let dir = folder(text);
        let said = one_line(publish(dir.path()), 2);
        assert!(said.starts_with("application.properties: JSON ") && said.contains(WAY_OUT), "{said}");
    }
}

#[test]
fn keys_of_the_application_in_a_found_file_are_one_warning() {
    let dir = folder(
        "kafka.topic.orders=${TOPIC}\nkafka.producer.lingr.ms=5\nkafka.plugin.library.paths=./evil.so\n",
    );
    let output = Kps::new(["config"]).dir(dir.path()).run().ok();
    assert_eq!(
        output.err(),
        "kps: warning: application.properties: unknown keys without effect: kafka.topic.orders (line 1), \
         kafka.producer.lingr.ms (line 2), did you mean kafka.producer.linger.ms?, kafka.plugin.library.paths (line 3)\n"
    );
    Kps::new(["config", "-q"]).dir(dir.path()).run().ok().silent();
    // In a file that was named each of them is a mistake.
    let named = Kps::new(["config", "--props", FOUND]).dir(dir.path()).env("TOPIC", "t").run().code(2);
    assert_eq!(named.err().lines().count(), 3, "{named}");
    // Without a key of ours it is the application's alone.
    let dir = folder("bootstrap.servers=a\nspring.kafka.x=y\n");
    Kps::new(["config"]).dir(dir.path()).run().ok().silent();
}

#[cfg(any(feature = "native", feature = "rdkafka", feature = "rskafka"))]
mod runs {
    use serde_json::Value;

    use super::*;

    /// A port that nobody listens at: a run that gets so far has accepted its settings.
    const NOBODY: &str = "127.0.0.1:1";

    #[test]
    fn settings_of_a_found_file_are_told_in_one_line_where_they_decide() {
        let text = format!(
            "kafka.bootstrap.servers={NOBODY}\nkafka.producer.linger.ms=7\nkafka.consumer.fetch.max.wait.ms=7\n\
             kafka.consumer.group.id=billing\nkafka.socket.connection.setup.timeout.ms=1000\n"
        );
        let dir = folder(&text);
        let using =
            |keys: &str| format!("kps: using ./application.properties: bootstrap.servers={NOBODY}{keys}\n");
        let group = "kps: reading as group billing (application.properties:4), which commits; --no-group reads without one\n";
        let timeout = ", socket.connection.setup.timeout.ms";
        let publishing = format!("{timeout}, linger.ms");
        for (args, expected) in [
            (&["publish", "t", "-m", "x"][..], using(&publishing)),
            (&["publish", "t", "-m", "x", "-X", "linger.ms=1"], using(timeout)),
            (&["subscribe", "t"], using(&format!("{timeout}, fetch.max.wait.ms")) + group),
            (&["subscribe", "t", "--no-commit"], group.replace("which commits", "which commits nothing")),
            (&["subscribe", "t", "-p", "0"], using(&format!("{timeout}, fetch.max.wait.ms"))),
            (&["topics"], using(timeout)),
            (&["groups"], using(timeout)),
            (&["bench", "pipeline"], using(&format!("{publishing}, fetch.max.wait.ms"))),
            (&["bench", "compare"], using(&format!("{publishing}, fetch.max.wait.ms"))),
        ] {
            let output = Kps::new(args).dir(dir.path()).run();
            assert_ne!(output.status.code(), Some(2), "{output}");
            assert_eq!(output.err().matches(expected.as_str()).count(), 1, "{args:?}: {output}");
            let quiet = Kps::new(args).args(["-q"]).dir(dir.path()).run().err();
            assert!(!quiet.contains("using") && !quiet.contains("reading as"), "{quiet}");
        }
        for alone in [&["--no-group"][..], &["-g", ""], &["-p", "0"], &["-g", "mine"]] {
            let said = Kps::new(["subscribe", "t"]).args(alone).dir(dir.path()).run().code(4).err();
            assert!(!said.contains("reading as group"), "{alone:?}: {said}");
        }
        let said =
            one_line(Kps::new(["subscribe", "t", "-o", "stored", "--no-group", "-q"]).dir(dir.path()), 2);
        assert!(said.starts_with("-o stored"), "{said}");
    }

    #[test]
    fn a_program_reads_what_a_found_file_decided() {
        let dir = folder(&format!(
            "kafka.bootstrap.servers={NOBODY}\nkafka.log.format=json\nkafka.consumer.group.id=g\n"
        ));
        let said = Kps::new(["subscribe", "t"]).dir(dir.path()).run().code(4).err();
        let lines: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let event =
            |name: &str| lines.iter().find(|line| line["event"] == name).unwrap_or_else(|| panic!("{said}"));
        assert_eq!(event("settings_file")["keys"], serde_json::json!(["bootstrap.servers", "log.format"]));
        let group = event("group");
        assert_eq!((&group["group"], &group["commits"]), (&"g".into(), &true.into()));
    }

    #[test]
    fn a_file_that_decides_nothing_is_not_told() {
        let dir = folder("kafka.producer.linger.ms=7\nkafka.bootstrap.servers=a:1\n");
        let said = Kps::new(["subscribe", "t", "-b", NOBODY]).dir(dir.path()).run().code(4).err();
        assert!(!said.contains("using"), "{said}");
    }

    #[test]
    fn brokers_that_a_found_file_names_get_no_secret() {
        let dir = folder(&format!("kafka.bootstrap.servers={NOBODY}\n"));
        let sasl: &[(&str, &str)] = &[
            ("KPS_SASL_PASSWORD", "hunter2"),
            ("KPS_SECURITY_PROTOCOL", "SASL_PLAINTEXT"),
            ("KPS_SASL_MECHANISM", "PLAIN"),
            ("KPS_SASL_USERNAME", "me"),
        ];
        let key = &[("KPS_SECURITY_PROTOCOL", "SSL"), ("KPS_SSL_KEY_LOCATION", "key.pem")][..];
        let ticket = &[("KPS_SECURITY_PROTOCOL", "SASL_SSL"), ("KPS_SASL_MECHANISM", "GSSAPI")][..];
        for (variables, named) in [
            (sasl, "sasl.password, $KPS_SASL_PASSWORD"),
            (key, "ssl.key.location"),
            (ticket, "sasl.mechanism"),
        ] {
            let secured = |kps: Kps| variables.iter().fold(kps, |kps, (name, value)| kps.env(name, value));
            for command in COMMANDS {
                let kps = secured(Kps::new(command).dir(dir.path()));
                if matches!(command[0], "config" | "libs") {
                    // They connect to nobody.
                    let output = kps.run().ok();
                    let warns = output.err().contains("warning: application.properties:1: the brokers");
                    assert_eq!(warns, command[0] == "config", "{output}");
                    continue;
                }
                let said = one_line(kps, 2);
                assert!(
                    said.starts_with("application.properties:1: the brokers that this file names"),
                    "{said}"
                );
                assert!(said.contains(named) && said.contains("-b") && said.contains(WAY_OUT), "{said}");
                assert!(!said.contains("hunter2"), "{said}");
            }
            for library in ["native", "rdkafka", "rskafka"] {
                let kps = secured(publish(dir.path()).args(["--library", library]));
                kps.run().code(2);
            }
            // Named by the user they get it.
            for named in [&["-b", NOBODY][..], &["--props", FOUND]] {
                let output = secured(publish(dir.path()).args(named)).run();
                assert!(!output.err().contains("the brokers that this file names"), "{output}");
            }
        }
    }

    #[test]
    fn security_of_the_users_own_file_stays_in_force() {
        let dir = folder(&format!("kafka.bootstrap.servers={NOBODY}\n"));
        let user = dir.path().join("xdg/kps");
        fs::create_dir_all(&user).unwrap();
        let text = "kafka.security.protocol=SASL_SSL\nkafka.sasl.mechanism=PLAIN\nkafka.sasl.username=me\n\
                    kafka.sasl.password=hunter2\nkafka.bootstrap.servers=secure:9093\n";
        fs::write(user.join(FOUND), text).unwrap();
        let in_folder =
            |kps: Kps| kps.dir(dir.path()).env("XDG_CONFIG_HOME", dir.path().join("xdg").to_str().unwrap());
        let said = one_line(in_folder(Kps::new(["publish", "t", "-m", "x"])), 2);
        assert!(
            said.contains("(sasl.password, ") && said.contains("xdg/kps/application.properties:4"),
            "{said}"
        );
        let config = in_folder(Kps::new(["config", "-q"])).run().ok().silent().text();
        let line = |key: &str| config.lines().find(|line| line.starts_with(key)).unwrap().to_owned();
        assert!(line("kafka.security.protocol ").contains("SASL_SSL"), "{config}");
        assert!(line("kafka.bootstrap.servers ").contains(&format!("{NOBODY}  ")), "{config}");
        assert!(line("kafka.bootstrap.servers ").contains("(over secure:9093, "), "{config}");
        // In the folder of that file itself it is the user's own.
        let own =
            Kps::new(["config"]).dir(&user).env("XDG_CONFIG_HOME", dir.path().join("xdg").to_str().unwrap());
        let output = own.run().ok().silent();
        assert!(output.text().contains("SASL_SSL") && !output.text().contains("(over"), "{output}");
    }

    #[cfg(feature = "broker")]
    #[test]
    fn every_run_of_a_comparison_has_the_settings_of_a_pipe() {
        let script = r#"printf 'kafka.producer.linger.ms=3\nkafka.producer.acks=1\n' | "$0" bench compare --workload publish \
            --library native --messages 10 --repeat 2 -b embedded --output json --props -"#;
        let output = shell(script);
        assert_eq!(
            output.matches(r#""value":"3""#).count() + output.matches(r#""value": "3""#).count(),
            2,
            "{output}"
        );
    }
}

/// What a script prints whose `$0` is `kps`; it must succeed.
fn shell(script: &str) -> String {
    let mut command = std::process::Command::new("bash");
    command
        .args(["-c", script, env!("CARGO_BIN_EXE_kps")])
        .env_remove("KPS_CONFIG")
        .env("XDG_CONFIG_HOME", "/nowhere");
    let output = command.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{script}: {out}{err}");
    out.into_owned()
}

#[test]
fn a_named_file_may_be_a_pipe() {
    for named in [
        r#""$0" config --props <(echo kafka.client.id=piped)"#,
        r#""$0" config --no-props --props <(sleep 0.2; echo kafka.client.id=piped)"#,
        r#"KPS_CONFIG=<(echo kafka.client.id=piped) "$0" config"#,
        r#"KPS_CONFIG=- "$0" config < <(echo kafka.client.id=piped)"#,
        r#"echo kafka.client.id=piped | "$0" config --props -"#,
        r#"echo kafka.client.id=piped | "$0" config --props /dev/stdin"#,
        r#"echo '{"confluent_config": {"client.id": "piped"}, "kafka_library": "rdkafka"}' | "$0" config --props -"#,
        r#"echo "kafka.client.id=\${file:$(echo /dev/fd/9)}" > "$TMPDIR/f.properties"; "$0" config --props "$TMPDIR/f.properties" 9< <(echo piped)"#,
    ] {
        let tmp = tempfile::tempdir().unwrap();
        let script = format!("export TMPDIR={}; {named}", tmp.path().display());
        let config = shell(&script);
        let line = config.lines().find(|line| line.contains("client.id ")).unwrap();
        assert!(line.contains(" piped "), "{named}: {config}");
    }
}

#[test]
fn standard_input_is_read_for_one_thing() {
    let dir = folder("");
    let props = |args: &[&str]| one_line(Kps::new(args).dir(dir.path()).input("kafka.client.id=a\n"), 2);
    fs::write(dir.path().join("records"), "a\n").unwrap();
    for args in [
        &["publish", "t", "--props", "-"][..],
        &["publish", "t", "-F", "/dev/stdin"],
        &["publish", "t", "--props", "-", "-l", "-"],
        &["publish", "t", "--props", "-", "records", "-"],
        &["publish", "-t", "t", "-", "--props", "-"],
    ] {
        let said = props(args);
        assert!(said.starts_with("--props -: standard input holds the records"), "{args:?}: {said}");
    }
    let said = props(&["config", "--props", "-", "--props", "-"]);
    assert_eq!(said, "--props -: standard input can be read only once");
    let said = one_line(Kps::new(["publish", "t"]).dir(dir.path()).env("KPS_CONFIG", "-"), 2);
    assert!(said.starts_with("$KPS_CONFIG -: standard input holds the records"), "{said}");
    let wrong = one_line(Kps::new(["config", "--props", "-"]).dir(dir.path()).input("#\nkafka.x=1\n"), 2);
    assert!(wrong.starts_with("standard input:2: unknown key kafka.x"), "{wrong}");
}

fn fifo(dir: &Path, name: &str) -> PathBuf {
    let path = dir.join(name);
    mkfifoat(CWD, &path, Mode::RUSR | Mode::WUSR).unwrap();
    path
}

#[test]
fn a_found_file_is_a_regular_file() {
    let config = |dir: &Path| Kps::new(["config"]).dir(dir).limit(Duration::from_secs(5));
    let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let found = dir.path().join(FOUND);
    let refused = || {
        let said = one_line(config(dir.path()), 2);
        let expected =
            "application.properties: cannot be read: it is not a regular file; --no-props runs without it";
        assert_eq!(said, expected);
        if found.is_dir() { fs::remove_dir(&found).unwrap() } else { fs::remove_file(&found).unwrap() }
    };
    fs::create_dir(&found).unwrap();
    refused();
    fifo(dir.path(), FOUND);
    refused();
    for target in ["/dev/zero", "/dev/tty", "/dev/null", fifo(elsewhere.path(), "fifo").to_str().unwrap()] {
        symlink(target, &found).unwrap();
        refused();
    }
    {
        let _listener = std::os::unix::net::UnixListener::bind(&found).unwrap();
        refused();
    }
    symlink(FOUND, &found).unwrap();
    let said = one_line(config(dir.path()), 2);
    assert!(
        said.starts_with("application.properties: cannot be read: ") && said.contains("symbolic links"),
        "{said}"
    );
    fs::remove_file(&found).unwrap();
    symlink("gone", &found).unwrap();
    config(dir.path()).run().ok().silent();
    fs::remove_file(&found).unwrap();

    // A link to a regular file (a mounted volume of Kubernetes has such) is as little trusted as the file.
    fs::write(elsewhere.path().join("f"), "kafka.producer.linger.ms=7\n").unwrap();
    symlink(elsewhere.path().join("f"), &found).unwrap();
    assert!(config(dir.path()).run().ok().silent().text().contains("application.properties:1"));
    fs::write(elsewhere.path().join("f"), "kafka.sasl.password=hunter2\n").unwrap();
    let said = one_line(config(dir.path()), 2);
    assert!(said.starts_with("application.properties:1: kafka.sasl.password counts only"), "{said}");

    // The user's own file must be a regular one, too.
    let user = elsewhere.path().join("kps");
    fs::create_dir(&user).unwrap();
    let own = fifo(&user, FOUND);
    fs::remove_file(&found).unwrap();
    let kps = config(dir.path()).env("XDG_CONFIG_HOME", elsewhere.path().to_str().unwrap());
    let said = one_line(kps, 2);
    assert_eq!(
        said,
        format!("{}: cannot be read: it is not a regular file; --no-props runs without it", own.display())
    );
}

#[test]
fn files_are_read_to_a_megabyte() {
    let fits = "#".repeat((1 << 20) - 29) + "\nkafka.producer.linger.ms=123";
    assert_eq!(fits.len(), 1 << 20);
    let dir = folder(&fits);
    for args in [&["config"][..], &["config", "--props", FOUND]] {
        assert!(Kps::new(args).dir(dir.path()).run().ok().text().contains(" 123 "));
    }
    fs::write(dir.path().join(FOUND), fits + "4").unwrap();
    let larger = "cannot be read: it is larger than 1 MiB";
    let said = one_line(Kps::new(["config"]).dir(dir.path()), 2);
    assert_eq!(said, format!("application.properties: {larger}; --no-props runs without it"));
    for endless in [FOUND, "/dev/zero"] {
        let said = one_line(Kps::new(["config", "--props", endless]).dir(dir.path()), 2);
        assert_eq!(said, format!("{endless}: {larger}"));
    }
    fs::write(
        dir.path().join("f"),
        "kafka.client.id=${file:/dev/zero}\nkafka.client.rack=${file:application.properties}\n",
    )
    .unwrap();
    let output = Kps::new(["config", "--props", "f"]).dir(dir.path()).run().code(2);
    output
        .says("f:1: ${file:/dev/zero} cannot be read: it is larger than 1 MiB")
        .says("f:2: ${file:application.properties} cannot be read: it is larger than 1 MiB");
}

#[test]
fn files_are_read_for_ten_seconds() {
    let dir = folder("");
    let never = fifo(dir.path(), "never");
    // Its writer neither ends nor says anything.
    let open = fifo(dir.path(), "open");
    let _writer = fs::OpenOptions::new().read(true).write(true).open(&open).unwrap();
    fs::write(dir.path().join("names-it"), "kafka.client.id=${file:never}\nkafka.client.rack=${file:open}\n")
        .unwrap();
    let started = Instant::now();
    let run = |args: &[&str]| Kps::new(args).dir(dir.path()).spawn();
    let runs = [
        (run(&["config", "--props", never.to_str().unwrap()]), "never: "),
        (run(&["publish", "t", "-m", "x", "--props", "open"]), "open: "),
        (run(&["config", "--props", "names-it"]), "names-it:1: ${file:never} "),
        (run(&["subscribe", "t", "--props", "-"]), "standard input: "),
    ];
    for (run, expected) in runs {
        let output = run.wait_with_open_stdin().code(2).prints("");
        output.says(expected).says("cannot be read: its end did not come within 10 s");
    }
    let took = started.elapsed();
    assert!(took > Duration::from_secs(9) && took < Duration::from_secs(20), "{took:?}");
}

#[test]
fn a_named_file_that_sets_nothing_is_refused() {
    let dir = folder("");
    let files = [
        ("empty", "", "empty: no key in this file begins with kafka."),
        ("comments", "# kafka.client.id=a\n", "comments: no key in this file begins with kafka."),
        ("app", "server.port=1\nkafka=x\n", "app: no key in this file begins with kafka."),
        (
            "client",
            "\nbootstrap.servers=prod:9093\nsecurity.protocol=SASL_SSL\n",
            "client:2: no key in this file begins with kafka.",
        ),
        ("jaas", "sasl.jaas.config=hunter2\n", "jaas:1: no key in this file begins with kafka."),
        ("librdkafka", "metadata.broker.list=prod\n", "librdkafka:1: no key in this file begins with kafka."),
        ("/dev/null", "", "/dev/null: no key in this file begins with kafka."),
    ];
    for (name, text, expected) in files {
        if !name.starts_with('/') {
            fs::write(dir.path().join(name), text).unwrap();
        }
        for command in COMMANDS {
            let by_flag = one_line(Kps::new(command).args(["--props", name]).dir(dir.path()), 2);
            let by_variable = one_line(Kps::new(command).env("KPS_CONFIG", name).dir(dir.path()), 2);
            assert_eq!(by_flag, by_variable);
            assert!(by_flag.starts_with(expected) && !by_flag.contains("hunter2"), "{by_flag}");
        }
    }
    let said = one_line(Kps::new(["config", "--props", "client"]).dir(dir.path()), 2);
    assert!(said.contains("write bootstrap.servers as kafka.bootstrap.servers"), "{said}");
    // One that says something does not make up for another.
    fs::write(dir.path().join("good"), "kafka.client.id=a\n").unwrap();
    let said = one_line(Kps::new(["config", "-F", "good", "-F", "empty"]).dir(dir.path()), 2);
    assert!(said.starts_with("empty: "), "{said}");
}

#[test]
fn keys_without_the_prefix_beside_others_are_warned_about() {
    let dir = folder("");
    let text = "kafka.client.id=a\nbootstrap.servers=prod\nserver.port=1\nacks=1\nsasl.password=hunter2\n";
    fs::write(dir.path().join("f"), text).unwrap();
    let output = Kps::new(["config", "--props", "f"]).dir(dir.path()).run().ok();
    assert_eq!(
        output.err(),
        "kps: warning: f: without the prefix kafka. a key does not count: bootstrap.servers (line 2), acks (line 4), \
         sasl.password (line 5); write kafka.bootstrap.servers\n"
    );
    Kps::new(["config", "--props", "f", "-q"]).dir(dir.path()).run().ok().silent();
}
