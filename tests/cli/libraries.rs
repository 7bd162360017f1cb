//! Which library runs, what is said when it is not here, and what it cannot do.
use std::net::TcpListener;

use serde_json::Value;

use crate::harness::app::{Kps, Library};
use crate::one_line;

const ALL: [Library; 3] = [Library::Native, Library::Rdkafka, Library::Rskafka];

fn is_here(library: Library) -> bool {
    Library::all().contains(&library)
}

#[test]
fn libs_tells_what_is_here_and_what_each_can_do() {
    let report: Value =
        serde_json::from_str(&Kps::new(["libs", "--output", "json"]).run().ok().silent().text()).unwrap();
    let here: Vec<&str> = Library::all().into_iter().map(Library::name).collect();
    assert_eq!(report["available"], serde_json::json!(here));
    assert_eq!(report["recommended"], serde_json::json!(here.first()));
    for library in ALL {
        let one = &report["libraries"][library.name()];
        assert_eq!(one["available"], is_here(library), "{one}");
        assert_eq!(one["version"].is_string(), is_here(library), "{one}");
        assert_eq!(one["features"].as_array().unwrap().is_empty(), !is_here(library), "{one}");
        assert!(one["capabilities"].as_object().unwrap().contains_key("groups"), "{one}");
        assert!(!one["performance"].as_str().unwrap().is_empty(), "{one}");
    }
    assert_eq!(report["libraries"]["rskafka"]["capabilities"]["groups"], true);
    assert_eq!(report["libraries"]["rskafka"]["capabilities"]["transactions"], false);

    let text = Kps::new(["libs"]).run().ok().silent().text();
    for library in ALL {
        let missing = format!("not built in: build with --features {}", library.name());
        assert_eq!(text.contains(&missing), !is_here(library), "{text}");
    }
}

#[test]
fn libs_recommends_by_what_is_asked_and_says_why() {
    let advice = |args: &[&str]| -> Value {
        let libs = ["libs", "--output", "json"];
        serde_json::from_str(&Kps::new([&libs[..], args].concat()).run().ok().silent().text()).unwrap()
    };
    let able = |able: &[Library]| -> Value {
        Library::all().into_iter().find(|library| able.contains(library)).map(Library::name).into()
    };
    let all = advice(&["--library", "rskafka"]);
    assert_eq!((&all["recommended"], &all["because"]), (&able(&ALL), &serde_json::json!([])));
    for (asked, can) in [
        ("transactional.id=t", &[Library::Rdkafka][..]),
        ("rdkafka.debug=all", &[Library::Rdkafka]),
        ("compression.level=3", &[Library::Native, Library::Rdkafka]),
        ("isolation.level=read_uncommitted", &[Library::Native, Library::Rdkafka]),
    ] {
        let advice = advice(&["-X", asked]);
        assert_eq!(advice["recommended"], able(can), "{advice}");
        let passed_over = Library::all().into_iter().take_while(|library| !can.contains(library));
        let because: Vec<&str> =
            advice["because"].as_array().unwrap().iter().flat_map(Value::as_str).collect();
        assert_eq!(because.len(), passed_over.clone().count(), "{advice}");
        for (why, library) in because.iter().zip(passed_over) {
            assert!(why.contains(&format!("{} cannot do this", library.name())), "{why}");
        }
    }
    let line = one_line(Kps::new(["libs", "-X", "lingr.ms=5"]), 2);
    assert!(line.contains("-X lingr.ms") && line.contains("linger.ms"), "{line}");
}

#[cfg(all(feature = "broker", any(feature = "native", feature = "rdkafka", feature = "rskafka")))]
#[test]
fn auto_takes_the_first_and_the_summary_names_it() {
    let ran = |args: &[&str]| -> Value {
        let publish = ["publish", "t", "-m", "x", "-b", "embedded", "--summary", "json"];
        let output = Kps::new([&publish[..], args].concat()).run().ok();
        serde_json::from_str(output.err().lines().last().unwrap()).unwrap()
    };
    assert_eq!(ran(&[])["library"], Library::all()[0].name());
    if is_here(Library::Rdkafka) {
        assert_eq!(ran(&["-X", "rdkafka.log_level=6"])["library"], "rdkafka");
    }
}

#[test]
fn check_answers_by_exit_code_only() {
    for (name, library) in [
        ("rdkafka", Library::Rdkafka),
        ("confluent-kafka", Library::Rdkafka),
        ("rskafka", Library::Rskafka),
        ("kafka_python", Library::Rskafka),
    ] {
        let code = if is_here(library) { 0 } else { 1 };
        Kps::new(["libs", "--check", name]).run().code(code).prints("").silent();
    }
    // Of another version perhaps: not available here.
    let output = Kps::new(["libs", "--check", "kafkajs"]).run().code(1).prints("");
    output.says("--check kafkajs").says("native, rdkafka, rskafka are known");
}

/// A broker that must not be called.
fn untouched() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

/// One line with exit code 2, and no connection.
#[track_caller]
fn refused(args: &[&str]) -> String {
    let (listener, address) = untouched();
    let line = one_line(Kps::new(args).args(["-b", &address]), 2);
    assert!(listener.accept().is_err(), "there was a connection: {args:?}");
    line
}

#[cfg(not(any(feature = "native", feature = "rdkafka", feature = "rskafka")))]
#[test]
fn without_any_library_it_is_said_how_to_get_one() {
    let none = "no Kafka library available: build with --features rdkafka or --features rskafka";
    for library in [&[][..], &["--library", "rdkafka"], &["--library", "rskafka"], &["--library", "auto"]] {
        for command in [&["publish", "t", "-m", "x"][..], &["subscribe", "t"]] {
            assert_eq!(refused(&[command, library].concat()), none);
        }
    }
}

#[cfg(all(not(feature = "rdkafka"), feature = "rskafka"))]
#[test]
fn rdkafka_that_is_not_built_in_falls_back_with_one_warning() {
    let port = crate::unreachable::closed_port();
    let output = Kps::new(["publish", "t", "-m", "x", "--library", "rdkafka", "-b", &port]).run().code(4);
    let said = crate::lines(&output);
    assert_eq!(said.len(), 2, "{output}");
    assert_eq!(
        said[0],
        "warning: --library: library rdkafka is not built in, rskafka runs instead \
         (build with --features rdkafka to have it)"
    );
    assert!(said[1].contains(&port), "{output}");
}

#[cfg(all(not(feature = "rdkafka"), feature = "rskafka"))]
#[test]
fn a_fallback_drops_no_capability() {
    let line = refused(&["publish", "t", "-m", "x", "--library", "rdkafka", "-X", "compression.level=3"]);
    assert_eq!(
        line,
        "compression.level=3 (-X compression.level): rskafka cannot do this, rdkafka can, \
         build with --features rdkafka"
    );
}

#[cfg(all(feature = "rdkafka", not(feature = "rskafka")))]
#[test]
fn rskafka_that_is_not_built_in_is_refused_with_how_to_get_it() {
    let line = refused(&["publish", "t", "-m", "x", "--library", "rskafka"]);
    assert_eq!(line, "--library: library rskafka is not built in: build with --features rskafka");
    let line = crate::lines(&Kps::new(["subscribe", "t"]).env("KPS_LIBRARY", "kafka-python").run().code(2));
    assert_eq!(line, ["$KPS_LIBRARY: library rskafka is not built in: build with --features rskafka"]);
}

/// How a refusal ends that these libraries would not have given.
#[cfg(feature = "rskafka")]
fn who_can(able: &[&str]) -> String {
    let is_here = |name: &&str| Library::all().iter().any(|library| library.name() == *name);
    let here: Vec<&str> = able.iter().copied().filter(is_here).collect();
    match here.is_empty() {
        true => format!("{0} can, build with --features {0}", able[0]),
        false => format!("--library {} can", here.join(" or ")),
    }
}

#[cfg(feature = "rskafka")]
#[test]
fn what_rskafka_cannot_do_is_refused_before_any_connection() {
    let publish = ["publish", "t", "-m", "x"];
    let subscribe = ["subscribe", "t"];
    let (both, rdkafka) = (&["rdkafka", "native"][..], &["rdkafka"][..]);
    for (command, args, what, place, able) in [
        (
            &publish[..],
            &["-X", "enable.idempotence=true"][..],
            "enable.idempotence=true",
            "-X enable.idempotence",
            both,
        ),
        (&publish, &["-X", "compression.level=3"], "compression.level=3", "-X compression.level", both),
        (&publish, &["-X", "partitioner=fnv1a"], "partitioner=fnv1a", "-X partitioner", both),
        (&publish, &["-X", "rdkafka.debug=all"], "rdkafka.debug", "-X rdkafka.debug", rdkafka),
        (
            &publish,
            &["-X", "security.protocol=ssl"],
            "security.protocol=SSL",
            "-X security.protocol",
            rdkafka,
        ),
        (&publish, &["-X", "sasl.password=x"], "sasl.password=[hidden]", "-X sasl.password", rdkafka),
        (&subscribe, &["-X", "client.rack=r"], "client.rack=r", "-X client.rack", both),
        (
            &subscribe,
            &["-X", "isolation.level=read_uncommitted"],
            "isolation.level=read_uncommitted",
            "-X isolation.level",
            both,
        ),
    ] {
        let line = refused(&[command, args, &["--library", "rskafka"]].concat());
        let can = who_can(able);
        assert_eq!(line, format!("{what} ({place}): rskafka cannot do this, {can}"));
    }
}

#[cfg(feature = "rskafka")]
#[test]
fn headers_that_rskafka_cannot_send_are_refused_before_any_connection() {
    let publish = ["publish", "t", "-m", "x", "--library", "rskafka"];
    for (headers, what) in
        [(&["-H", "a=1", "-H", "a=2"][..], "a second time"), (&["-H", "a"], "with a null value")]
    {
        let line = refused(&[&publish[..], headers].concat());
        assert_eq!(line, format!("-H a: rskafka cannot send a header {what}, --library rdkafka can"));
    }
}

#[cfg(feature = "rskafka")]
#[test]
fn every_lack_is_told_with_its_place_in_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let text = "kafka.library=rskafka\nkafka.producer.compression.level=3\nkafka.rdkafka.debug=all\n";
    std::fs::write(dir.path().join("application.properties"), text).unwrap();
    let publish = ["publish", "t", "-m", "x", "--props", "application.properties"];
    let line = one_line(Kps::new(publish).dir(dir.path()), 2);
    for part in ["(application.properties:2): rskafka cannot", "(application.properties:3): rskafka cannot"] {
        assert!(line.contains(part), "{line}");
    }
}

#[cfg(any(feature = "native", feature = "rdkafka", feature = "rskafka"))]
#[test]
fn what_no_library_can_do_names_what_each_lacks() {
    let line =
        refused(&["subscribe", "t", "-X", "partition.assignment.strategy=sticky", "-X", "rdkafka.debug=all"]);
    for library in Library::all() {
        let lack = match library {
            Library::Rdkafka => "partition.assignment.strategy=sticky (-X partition.assignment.strategy)",
            Library::Native | Library::Rskafka => "rdkafka.debug (-X rdkafka.debug)",
        };
        assert!(line.contains(&format!("{lack}: {} cannot do this", library.name())), "{line}");
    }
}

#[cfg(all(feature = "rdkafka", feature = "rskafka"))]
#[test]
fn auto_takes_the_library_that_can() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("n.json");
    std::fs::write(&file, r#"{"source": "t", "consumer_config": {"isolation_level": "read_uncommitted"}}"#)
        .unwrap();
    let file = file.to_str().unwrap();
    // This form's own default is rskafka, which reads what is committed.
    let line = one_line(Kps::new(["subscribe", "--props", file]).dir(dir.path()), 2);
    assert!(
        line.starts_with("isolation.level=read_uncommitted (") && line.contains("--library rdkafka"),
        "{line}"
    );
    let port = crate::unreachable::closed_port();
    let args = ["subscribe", "--props", file, "--library", "auto", "-b", &port];
    let line = one_line(Kps::new(args).dir(dir.path()), 4);
    assert!(line.contains(&port), "{line}");
}

#[cfg(feature = "rskafka")]
#[test]
fn weaker_acknowledgement_runs_stronger_with_one_warning() {
    let port = crate::unreachable::closed_port();
    let publish = ["publish", "t", "-m", "x", "--library", "rskafka", "--acks", "1", "-b", &port];
    let output = Kps::new(publish).run().code(4);
    let said = crate::lines(&output);
    assert_eq!(said.len(), 2, "{output}");
    assert_eq!(said[0], "warning: acks=1 (--acks) on rskafka runs as acks=all: stronger and slower");
    one_line(Kps::new(publish).args(["-q"]), 4);
}
