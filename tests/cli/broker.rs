//! The embedded broker: `kps broker`, a command under it, and `-b embedded`.
use crate::harness::app::Kps;
use crate::one_line;

#[cfg(not(feature = "broker"))]
#[test]
fn without_the_broker_it_is_said_how_to_get_it() {
    let missing = "the embedded broker is not built in: build with --features broker";
    assert_eq!(one_line(Kps::new(["broker"]), 2), missing);
    assert_eq!(one_line(Kps::new(["broker", "--listen", "0", "--", "true"]), 2), missing);
    if cfg!(any(feature = "rdkafka", feature = "rskafka")) {
        let line = one_line(Kps::new(["publish", "t", "-m", "x", "-b", "embedded"]), 2);
        assert_eq!(line, format!("-b: embedded: {missing}"));
        let line = one_line(Kps::new(["subscribe", "t"]).env("KPS_BOOTSTRAP_SERVER", "embedded"), 2);
        assert_eq!(line, format!("$KPS_BOOTSTRAP_SERVER: embedded: {missing}"));
    }
}

#[test]
fn embedded_stands_by_itself() {
    for servers in ["embedded,127.0.0.1:1", "127.0.0.1:1,embedded", "embedded, embedded"] {
        let line = one_line(Kps::new(["publish", "t", "-m", "x", "-b", servers]), 2);
        assert!(line.starts_with("-b: ") && line.ends_with("or embedded by itself"), "{line}");
    }
}

#[cfg(feature = "broker")]
mod built_in {
    use std::fs;
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};
    use std::path::Path;
    use std::time::{Duration, Instant};

    use rustix::process::Signal;
    use tempfile::TempDir;

    use super::*;
    use crate::harness::PATIENCE;
    use crate::harness::process::Running;
    use crate::lines;

    /// A broker that runs in a temporary folder of its own.
    struct Up {
        run: Running,
        addr: String,
        tmp: TempDir,
    }

    impl Up {
        fn new(args: &[&str]) -> Self {
            Self::within(tempfile::tempdir().unwrap(), args)
        }

        fn within(tmp: TempDir, args: &[&str]) -> Self {
            let run = broker(tmp.path(), args).spawn();
            let addr = run.take_line();
            Self { run, addr, tmp }
        }

        /// Ends it by a signal that gives this exit code; returns the folder it ran in.
        #[track_caller]
        fn end(self, signal: Signal, code: i32) -> TempDir {
            self.run.signal(signal);
            self.run.wait_with_open_stdin().code(code).prints("");
            self.tmp
        }

        /// Ends it as a crash does.
        fn kill(self) -> TempDir {
            self.run.signal(Signal::KILL);
            drop(self.run.wait_with_open_stdin());
            self.tmp
        }
    }

    /// `kps broker ARGS` on a free port, with `tmp` as its temporary folder.
    fn broker(tmp: &Path, args: &[&str]) -> Kps {
        Kps::new(["broker", "--listen", "0"]).args(args).env("TMPDIR", tmp.to_str().unwrap())
    }

    /// `kps broker ARGS -- sh -c SCRIPT`.
    fn under(tmp: &Path, script: &str) -> Kps {
        Kps::new(["broker", "--", "sh", "-c", script]).env("TMPDIR", tmp.to_str().unwrap())
    }

    /// The names in a folder.
    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[track_caller]
    fn assert_empty(folder: &Path) {
        assert_eq!(names(folder), [""; 0]);
    }

    /// Looks again and again, for what nothing can be waited for.
    #[track_caller]
    fn until(what: &str, holds: impl Fn() -> bool) {
        let end = Instant::now() + PATIENCE;
        while !holds() {
            assert!(Instant::now() < end, "{what}: not within {PATIENCE:?}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    #[test]
    fn it_prints_its_address_and_ends_on_a_signal() {
        for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
            let up = Up::new(&[]);
            let (host, port) = up.addr.rsplit_once(':').unwrap();
            assert!(host == "127.0.0.1" && port != "0", "{}", up.addr);
            TcpStream::connect(&up.addr).unwrap();
            assert_eq!(names(up.tmp.path()).len(), 1);
            assert_empty(up.end(signal, code).path());
        }
    }

    #[test]
    fn its_address_is_all_of_standard_output_and_the_folder_is_told() {
        let tmp = tempfile::tempdir().unwrap();
        let run = broker(tmp.path(), &[]).spawn();
        let out = run.until_stdout(|out| out.ends_with(b"\n"));
        run.until_stderr(|err| err.ends_with(b"\n"));
        run.signal(Signal::TERM);
        let output = run.wait_with_open_stdin().code(143).prints(out);
        let said = lines(&output);
        assert_eq!(said.len(), 1, "{output}");
        assert!(
            said[0].starts_with("records are kept in ") && said[0].ends_with(" until it ends"),
            "{output}"
        );

        let quiet = broker(tmp.path(), &["-q"]).spawn();
        quiet.take_line();
        quiet.signal(Signal::TERM);
        quiet.wait_with_open_stdin().code(143).silent();
    }

    #[test]
    fn with_nohup_it_outlives_its_terminal() {
        let tmp = tempfile::tempdir().unwrap();
        let run = under(tmp.path(), "trap '' HUP; exec kps broker --listen 0").spawn();
        run.take_line();
        // Passed on, and ignored there.
        run.signal(Signal::HUP);
        run.signal(Signal::TERM);
        run.wait_with_open_stdin().code(143);
    }

    #[test]
    fn a_standard_output_that_cannot_be_written_ends_it() {
        let tmp = tempfile::tempdir().unwrap();
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let output = broker(tmp.path(), &[]).stdout(full).run().code(1);
        assert_eq!(lines(&output), ["writing to standard output: No space left on device"]);
        assert_empty(tmp.path());
    }

    #[test]
    fn the_ready_file_has_the_address_as_long_as_it_runs() {
        let folder = tempfile::tempdir().unwrap();
        let ready = folder.path().join("ready");
        let flags = ["--ready-file", ready.to_str().unwrap()];
        let up = Up::new(&flags);
        // It is there before the address is printed.
        assert_eq!(fs::read_to_string(&ready).unwrap(), format!("{}\n", up.addr));
        up.kill();
        assert!(ready.exists());
        let up = Up::new(&flags);
        assert_eq!(fs::read_to_string(&ready).unwrap(), format!("{}\n", up.addr));
        up.end(Signal::TERM, 143);
        assert_empty(folder.path());

        let tmp = tempfile::tempdir().unwrap();
        let script = "cat \"$0\"; test \"$(cat \"$0\")\" = \"$KPS_BOOTSTRAP_SERVER\"";
        let ready = ready.to_str().unwrap();
        let run = Kps::new(["broker", "--ready-file", ready, "--", "sh", "-c", script, ready]);
        run.env("TMPDIR", tmp.path().to_str().unwrap()).run().ok().silent();
        assert_empty(folder.path());
    }

    #[test]
    fn a_ready_file_that_cannot_be_is_told_before_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let diary = folder.path().join("diary");
        fs::write(&diary, "dear diary\n").unwrap();
        for (path, why) in [
            (folder.path().join("no/such"), "No such file or directory"),
            (folder.path().to_owned(), "is a folder"),
            (diary.clone(), "is there, and holds something else than an address: name another file"),
            ("/dev/null".into(), "is not a file"),
        ] {
            let path = path.to_str().unwrap();
            let line = one_line(broker(folder.path(), &["--ready-file", path]), 1);
            assert_eq!(line, format!("--ready-file {path}: {why}"));
        }
        assert_eq!(names(folder.path()), ["diary"]);
    }

    #[test]
    fn a_port_in_use_is_told_with_the_way_out() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = taken.local_addr().unwrap().to_string();
        let tmp = tempfile::tempdir().unwrap();
        let kps = Kps::new(["broker", "--listen", &addr]).env("TMPDIR", tmp.path().to_str().unwrap());
        let line = one_line(kps, 1);
        assert!(line.starts_with(&format!("cannot listen at {addr}: Address already in use: ")), "{line}");
        assert!(line.contains("--listen"), "{line}");
        assert_empty(tmp.path());
    }

    #[test]
    fn a_data_folder_has_one_broker() {
        let data = tempfile::tempdir().unwrap();
        let data = data.path().to_str().unwrap();
        let one = Up::new(&["--data", data]);
        assert_empty(one.tmp.path());
        let line = one_line(broker(one.tmp.path(), &["--data", data]), 1);
        assert_eq!(line, format!("{data} is in use by another process"));
        one.end(Signal::TERM, 143);
        Up::new(&["--data", data]).end(Signal::TERM, 143);
    }

    #[test]
    fn a_data_folder_that_cannot_be_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "x").unwrap();
        let path = file.to_str().unwrap();
        let line = one_line(broker(folder.path(), &["--data", path]), 1);
        assert!(line.starts_with(path) && !line.contains("os error"), "{line}");

        fs::write(folder.path().join("meta.properties"), "version=1\n").unwrap();
        let path = folder.path().to_str().unwrap();
        let line = one_line(broker(folder.path(), &["--data", path]), 1);
        assert_eq!(line, format!("{path} is a data folder of Apache Kafka"));
    }

    #[test]
    fn what_a_killed_broker_left_is_removed_at_the_next_start() {
        let tmp = Up::new(&[]).kill();
        let left = names(tmp.path());
        assert_eq!(left.len(), 1);
        let next = Up::within(tmp, &[]);
        until("the old folder is gone", || !names(next.tmp.path()).contains(&left[0]));
        assert_eq!(names(next.tmp.path()).len(), 1);
        assert_empty(next.end(Signal::TERM, 143).path());
    }

    #[test]
    fn a_connection_closed_for_what_it_sent_is_one_line() {
        let up = Up::new(&[]);
        up.run.until_stderr(|err| err.ends_with(b"until it ends\n"));
        let mut hostile = TcpStream::connect(&up.addr).unwrap();
        hostile.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        let said = up.run.until_stderr(|err| err.iter().filter(|&&b| b == b'\n').count() == 2);
        let said = String::from_utf8(said).unwrap();
        let line = said.lines().nth(1).unwrap();
        let from = hostile.local_addr().unwrap();
        assert!(line.starts_with(&format!("kps: connection from {from} closed: a request of ")), "{said}");
        TcpStream::connect(&up.addr).unwrap();
        up.end(Signal::TERM, 143);
    }

    #[test]
    fn a_command_decides_the_exit_code() {
        for (script, code) in [("true", 0), ("exit 7", 7), ("exit 255", 255), ("kill -KILL $$", 137)] {
            let tmp = tempfile::tempdir().unwrap();
            under(tmp.path(), script).run().code(code).prints("").silent();
            assert_empty(tmp.path());
        }
    }

    #[test]
    fn a_command_that_cannot_be_run_is_told_as_shells_do() {
        let folder = tempfile::tempdir().unwrap();
        let tmp = tempfile::tempdir().unwrap();
        let plain = folder.path().join("plain");
        fs::write(&plain, "not executable\n").unwrap();
        let (plain, missing) = (plain.to_str().unwrap(), folder.path().join("missing"));
        for (command, code, why) in [
            ("no-such-command", 127, "command not found"),
            (missing.to_str().unwrap(), 127, "No such file or directory"),
            (plain, 126, "Permission denied"),
        ] {
            let kps = Kps::new(["broker", "--", command]).env("TMPDIR", tmp.path().to_str().unwrap());
            assert_eq!(one_line(kps, code), format!("{command}: {why}"));
            assert_empty(tmp.path());
        }
    }

    #[test]
    fn a_command_gets_the_address_and_kps_first_on_its_path() {
        let tmp = tempfile::tempdir().unwrap();
        let script = "echo \"$KPS_BOOTSTRAP_SERVER\"; command -v kps; echo \"$OTHER\"; echo \"$PATH\"";
        let kps = under(tmp.path(), script).env("PATH", "/usr/bin:/bin").env("OTHER", "kept");
        let output = kps.env("KPS_BOOTSTRAP_SERVER", "x:1").run().ok().silent().text();
        let [addr, kps, other, path] = output.lines().collect::<Vec<_>>()[..] else { panic!("{output}") };
        assert!(addr.starts_with("127.0.0.1:") && addr != "127.0.0.1:9092", "{output}");
        assert_eq!(kps, env!("CARGO_BIN_EXE_kps"));
        assert_eq!(other, "kept");
        let own = Path::new(kps).parent().unwrap().to_str().unwrap();
        assert_eq!(path, format!("{own}:/usr/bin:/bin"));
    }

    #[test]
    fn without_a_path_the_usual_one_is_behind_our_own() {
        let tmp = tempfile::tempdir().unwrap();
        under(tmp.path(), "cat /dev/null").env("PATH", "").run().ok().silent();
    }

    #[test]
    fn a_command_has_the_standard_streams() {
        let tmp = tempfile::tempdir().unwrap();
        let kps = Kps::new(["broker", "--", "cat"]).env("TMPDIR", tmp.path().to_str().unwrap());
        kps.input("in\nand out\n").run().ok().prints("in\nand out\n").silent();
        let output = under(tmp.path(), "echo told >&2").run().ok().prints("");
        assert_eq!(output.err(), "told\n");
    }

    #[test]
    fn signals_are_passed_on_and_the_command_has_the_last_word() {
        for (signal, name) in [(Signal::INT, "INT"), (Signal::TERM, "TERM"), (Signal::HUP, "HUP")] {
            let tmp = tempfile::tempdir().unwrap();
            // The trap interrupts `wait`; the inner broker is a child of the shell, which has to end it.
            let script = format!(
                "trap 'echo {name}; kill $inner; wait $inner; exit 5' {name}
                kps broker -q --listen 0 & inner=$!
                echo started
                wait $inner"
            );
            let run = under(tmp.path(), &script).spawn();
            // The inner broker's address, and the shell's word, in any order.
            run.until_stdout(|out| out.iter().filter(|&&b| b == b'\n').count() == 2);
            run.signal(signal);
            let output = run.wait_with_open_stdin().code(5).silent();
            assert!(output.text().ends_with(&format!("{name}\n")), "{output}");
            assert_empty(tmp.path());
        }
    }

    #[test]
    fn a_command_that_dies_of_the_signal_is_told_by_its_code() {
        let tmp = tempfile::tempdir().unwrap();
        let run = under(tmp.path(), "echo started; exec sleep 1000").spawn();
        run.take_line();
        run.signal(Signal::TERM);
        run.wait_with_open_stdin().code(143).silent();
        assert_empty(tmp.path());
    }

    #[test]
    fn the_broker_stays_until_the_command_has_ended() {
        let tmp = tempfile::tempdir().unwrap();
        // Another broker as the command: it ends well on SIGTERM, by itself.
        let kps = Kps::new(["broker", "--", "kps", "broker", "--listen", "0"]);
        let run = kps.env("TMPDIR", tmp.path().to_str().unwrap()).spawn();
        run.take_line();
        assert_eq!(names(tmp.path()).len(), 2);
        run.signal(Signal::TERM);
        run.wait_with_open_stdin().code(143);
        assert_empty(tmp.path());
    }

    #[test]
    fn what_cannot_be_meant_is_named() {
        for (args, parts) in [
            (&["--listen", "nonsense:port"][..], &["--listen nonsense:port", "HOST:PORT"][..]),
            (&["--listen", "::1:9092"], &["--listen ::1:9092", "[::1]:PORT"]),
            (&["--listen", "127.0.0.1:65536"], &["--listen 127.0.0.1:65536"]),
            (&["--listen", "no-such-host.invalid:1"], &["--listen no-such-host.invalid:1: "]),
            (&["--listen", ""], &["--listen"]),
            (&["--partitions", "0"], &["--partitions", "0 partitions", "1 to"]),
            (&["--partitions", "many"], &["'many'", "--partitions"]),
            (&["--retain-bytes", "much"], &["--retain-bytes", "'much'", "16MiB", "or none"]),
            (&["--retain-time", "-1"], &["--retain-time", "'-1'", "or none"]),
            (&["--fsync", "sometimes"], &["--fsync", "'sometimes'", "never or always"]),
            (&["--ready-file"], &["--ready-file"]),
            (&["extra"], &["'extra'"]),
            (&["-b", "127.0.0.1:1"], &["-b: ", "a setting of clients"]),
            (&["-X", "acks=1"], &["-X acks: ", "a setting of clients"]),
            (&["--props", "missing"], &["--props: ", "a setting of clients"]),
        ] {
            let line = one_line(Kps::new(["broker"]).args(args), 2);
            for part in parts {
                assert!(line.contains(part), "{args:?}: no {part:?} in: {line}");
            }
        }
    }

    #[test]
    fn its_help_says_what_it_does_by_default_and_what_it_is_not() {
        let help = Kps::new(["broker", "--help"]).run().ok().silent().text();
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        for part in [
            "127.0.0.1:9092",
            "[default: 1GiB]",
            "[default: none]",
            "[default: never]",
            "one node, no replication, no authentication",
            "no compaction",
            "not for production",
            "Apache Kafka",
        ] {
            assert!(help.contains(part), "no {part:?} in\n{help}");
        }
    }

    #[test]
    fn config_shows_embedded_and_starts_nothing() {
        let tmp = tempfile::tempdir().unwrap();
        let kps = Kps::new(["config", "-b", "embedded"]).env("TMPDIR", tmp.path().to_str().unwrap());
        let text = kps.run().ok().silent().text();
        let row = text.lines().find(|line| line.contains("bootstrap.servers")).unwrap();
        assert!(row.contains("embedded") && row.contains("-b"), "{row}");
        assert_empty(tmp.path());
    }

    #[cfg(any(feature = "native", feature = "rdkafka", feature = "rskafka"))]
    mod with_clients {
        use super::*;
        use crate::harness::app::Library;

        fn publish(addr: &str, library: Library, topic: &str) -> Kps {
            Kps::new(["publish", topic, "-q", "-b", addr, "--library", library.name()])
        }

        /// All values of a topic.
        fn values(addr: &str, library: Library, topic: &str) -> Vec<String> {
            let args = ["subscribe", topic, "--exit", "-b", addr, "--library", library.name()];
            Kps::new(args).run().ok().sorted_lines()
        }

        #[test]
        fn records_are_there_again_after_a_stop_and_after_a_kill() {
            for library in Library::all() {
                let data = tempfile::tempdir().unwrap();
                let flags = ["--data", data.path().to_str().unwrap()];
                let up = Up::new(&flags);
                publish(&up.addr, library, "t").input("a\nb\n").run().ok();
                up.end(Signal::TERM, 143);

                let up = Up::new(&flags);
                assert_eq!(values(&up.addr, library, "t"), ["a", "b"]);
                publish(&up.addr, library, "t").input("c\n").run().ok();
                up.kill();

                let up = Up::new(&flags);
                assert_eq!(values(&up.addr, library, "t"), ["a", "b", "c"]);
                up.end(Signal::TERM, 143);
            }
        }

        #[test]
        fn topics_are_created_as_they_are_asked_for_unless_that_is_off() {
            for library in Library::all() {
                let up = Up::new(&["--partitions", "3"]);
                publish(&up.addr, library, "t").input("a\n").run().ok();
                let last =
                    ["subscribe", "t", "--exit", "-p", "2", "-b", &up.addr, "--library", library.name()];
                Kps::new(last).run().ok();
                let none =
                    ["subscribe", "t", "--exit", "-p", "3", "-b", &up.addr, "--library", library.name()];
                Kps::new(none).run().code(6);
                up.end(Signal::TERM, 143);

                let up = Up::new(&["--no-auto-create"]);
                let limit = ["-X", "delivery.timeout.ms=2000", "-X", "linger.ms=0"];
                publish(&up.addr, library, "t").args(limit).input("a\n").run().code(6);
                up.end(Signal::TERM, 143);
            }
        }

        #[test]
        fn a_command_publishes_and_subscribes() {
            for library in Library::all() {
                let tmp = tempfile::tempdir().unwrap();
                let script = "seq 1 1000 | kps publish numbers -q && kps subscribe numbers --exit";
                let kps = under(tmp.path(), script).env("KPS_LIBRARY", library.name());
                let expected: String = (1..=1000).map(|n| format!("{n}\n")).collect();
                kps.run().ok().prints(expected).silent();
                assert_empty(tmp.path());
            }
        }

        #[test]
        fn the_tour_of_the_examples_passes() {
            let tmp = tempfile::tempdir().unwrap();
            let tour = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/tour.sh");
            let kps = Kps::new(["broker", "--", tour.to_str().unwrap()]);
            let output = kps.env("TMPDIR", tmp.path().to_str().unwrap()).run().ok();
            let text = output.text();
            let right = text.lines().filter(|line| line.starts_with("right: ")).count();
            assert_eq!(right, if cfg!(feature = "rdkafka") { 3 } else { 2 }, "{output}");
            assert!(text.lines().last().unwrap().starts_with("all right: "), "{output}");
            assert_empty(tmp.path());

            let alone =
                std::process::Command::new(&tour).env_remove("KPS_BOOTSTRAP_SERVER").output().unwrap();
            assert!(!alone.status.success());
            let said = String::from_utf8(alone.stderr).unwrap();
            assert!(said.contains("run it under a broker: kps broker -- "), "{said}");
        }

        /// `-b embedded` with one line about it, whose address is returned.
        #[track_caller]
        fn said_embedded(line: &str) -> &str {
            let rest = line.strip_prefix("kps: embedded broker at 127.0.0.1:");
            let rest = rest.unwrap_or_else(|| panic!("{line}"));
            rest.split(',').next().unwrap()
        }

        #[test]
        fn publishing_to_the_embedded_broker_starts_one_for_the_run() {
            for library in Library::all() {
                let tmp = tempfile::tempdir().unwrap();
                let kps = |args: &[&str]| {
                    let kps = Kps::new(["publish", "t", "--library", library.name()]).args(args);
                    kps.env("TMPDIR", tmp.path().to_str().unwrap()).input("a\nb\n")
                };
                let output = kps(&["-b", "embedded", "--receipts"]).run().ok();
                let said = output.err();
                let said: Vec<_> = said.lines().collect();
                assert_eq!(said.len(), 2, "{output}");
                assert!(said_embedded(said[0]).parse::<u16>().unwrap() > 0);
                assert!(said[1].starts_with("2 published, 0 failed"), "{output}");
                let receipts = output.text();
                assert_eq!(receipts.lines().count(), 2, "{output}");
                assert!(receipts.lines().all(|line| line.contains("\"partition\":0")), "{output}");
                kps(&["-q"]).env("KPS_BOOTSTRAP_SERVER", "embedded").run().ok().silent();
                assert_empty(tmp.path());
            }
        }

        #[test]
        fn subscribing_from_the_embedded_broker_ends_it_too() {
            for library in Library::all() {
                let tmp = tempfile::tempdir().unwrap();
                let kps = |args: &[&str]| {
                    let kps =
                        Kps::new(["subscribe", "-b", "embedded", "--library", library.name()]).args(args);
                    kps.env("TMPDIR", tmp.path().to_str().unwrap())
                };
                // It is empty: there is no topic yet.
                let output = kps(&["t", "--exit"]).run().code(6).prints("");
                let said = output.err();
                let said: Vec<_> = said.lines().collect();
                assert_eq!(said.len(), 2, "{output}");
                said_embedded(said[0]);
                assert!(said[1].starts_with("kps: unknown topic t"), "{output}");

                let run = kps(&["--pattern", "^t"]).spawn();
                run.until_stderr(|err| err.ends_with(b"\n"));
                run.signal(Signal::INT);
                run.wait_with_open_stdin().code(130).prints("");
                assert_empty(tmp.path());
            }
        }

        #[test]
        fn embedded_may_stand_in_a_file_and_needs_plaintext() {
            let dir = tempfile::tempdir().unwrap();
            let file = dir.path().join("application.properties");
            fs::write(&file, "kafka.bootstrap.servers=embedded\n").unwrap();
            let publish = || Kps::new(["publish", "t", "-m", "x"]).dir(dir.path());
            let output = publish().run().ok();
            let said = output.err();
            let (found, embedded) = said.split_once('\n').unwrap();
            assert_eq!(found, "kps: using ./application.properties: bootstrap.servers=embedded");
            said_embedded(embedded.lines().next().unwrap());

            let publish = || publish().args(["--props", "application.properties"]);
            fs::write(&file, "kafka.bootstrap.servers=embedded\nkafka.security.protocol=SASL_SSL\n").unwrap();
            let args: &[&str] = if cfg!(feature = "rdkafka") { &["--library", "rdkafka"] } else { &[] };
            let line = one_line(publish().args(args), 2);
            assert!(line.starts_with("security.protocol=SASL_SSL (application.properties:2): "), "{line}");
        }
    }
}
