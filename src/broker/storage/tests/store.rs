use std::process::Command;

use super::*;

fn store(folder: &Path) -> Storage {
    Storage::open(folder, small()).unwrap()
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

fn append_to(store: &Storage, topic: &str, partition: i32) -> i64 {
    let topic = store.topic(topic).unwrap();
    let mut log = topic.partition(partition).unwrap().lock();
    append(&mut log, &Batch::of(1))
}

fn names(store: &Storage) -> Vec<(String, usize)> {
    store.topics().iter().map(|topic| (topic.name().to_owned(), topic.partitions().len())).collect()
}

#[test]
fn a_folder_in_use_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let first = store(folder.path());
    let error = Storage::open(folder.path(), small()).unwrap_err();
    assert_eq!(error.to_string(), format!("{} is in use by another process", folder.path().display()));
    assert!(matches!(error, Error::Locked(_)));
    drop(first);
    store(folder.path());
}

#[test]
fn a_folder_in_use_is_refused_to_another_process() {
    let folder = tempfile::tempdir().unwrap();
    let open = store(folder.path());
    let second = || {
        let this = std::env::current_exe().unwrap();
        let name = "broker::storage::tests::store::open_here";
        let mut command = Command::new(this);
        let output =
            command.args(["--exact", name, "--ignored"]).current_dir(folder.path()).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("running 1 test"), "{text}");
        (output.status.success(), text.contains("Locked"))
    };
    assert_eq!(second(), (false, true));
    drop(open);
    assert_eq!(second(), (true, false));
}

#[test]
#[ignore = "the second process of the test above"]
fn open_here() {
    Storage::open(Path::new("."), small()).unwrap();
}

#[test]
fn topics_come_back_with_ids_settings_and_records() {
    let folder = tempfile::tempdir().unwrap();
    let first = store(folder.path());
    let configs = [pair("retention.ms", "5000"), pair("max.message.bytes", "100")];
    let id = first.create_topic("one", 3, &configs).unwrap().id();
    first.create_topic("a-1", 1, &[]).unwrap();
    assert_eq!(append_to(&first, "one", 2), 0);
    first.journal().put(b"group/g", b"blob").unwrap();
    drop(first);
    let again = store(folder.path());
    assert_eq!(names(&again), [("a-1".to_owned(), 1), ("one".to_owned(), 3)]);
    let topic = again.topic("one").unwrap();
    assert_eq!((topic.id(), topic.configs()), (id, &configs[..]));
    assert_eq!(again.topic_by_id(id).unwrap().name(), "one");
    assert_eq!(topic.partition(2).unwrap().lock().options().max_batch_bytes, 100);
    assert_eq!(append_to(&again, "one", 2), 1);
    assert_eq!(again.journal().get(b"group/g"), Some(&b"blob"[..]));
    assert_eq!(again.cut_bytes(), 0);
}

#[test]
fn what_cannot_be_created_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    store.create_topic("there", 2, &[]).unwrap();
    let cases = [
        ("there", 1, vec![], "topic there exists already"),
        ("a/b", 1, vec![], "'a/b' is not a topic name (1 to 249 of a-z A-Z 0-9 . _ -, not . or ..)"),
        ("new", 0, vec![], "topic new cannot have 0 partitions (1 to 1000)"),
        ("new", i32::MAX, vec![], "topic new cannot have 2147483647 partitions (1 to 1000)"),
        (
            "new",
            1,
            vec![pair("cleanup.policy", "compact")],
            "cleanup.policy=compact is not accepted (delete: compaction is not supported)",
        ),
    ];
    for (name, partitions, configs, expected) in cases {
        let dry = store.check_topic(name, partitions, &configs).unwrap_err();
        let error = store.create_topic(name, partitions, &configs).unwrap_err();
        assert_eq!((error.to_string(), dry.to_string()), (expected.to_owned(), expected.to_owned()));
    }
    assert!(store.check_topic("new", 1, &[]).is_ok());
    assert_eq!(names(&store), [("there".to_owned(), 2)]);
    assert_eq!(store.topic("new").unwrap_err().to_string(), "unknown topic new");
    let error = store.topic("there").unwrap().partition(2).unwrap_err();
    assert_eq!(error.to_string(), "topic there has no partition 2");
}

#[test]
fn partitions_are_added_and_never_taken_away() {
    let folder = tempfile::tempdir().unwrap();
    let first = store(folder.path());
    first.create_topic("t", 2, &[]).unwrap();
    append_to(&first, "t", 1);
    for count in [1, 2, 1001] {
        let error = first.add_partitions("t", count).unwrap_err();
        assert_eq!(error.to_string(), format!("topic t cannot have {count} partitions (3 to 1000)"));
    }
    assert!(matches!(first.add_partitions("u", 3), Err(Error::UnknownTopic(_))));
    let topic = first.add_partitions("t", 4).unwrap();
    assert_eq!(topic.partitions().len(), 4);
    assert_eq!((append_to(&first, "t", 1), append_to(&first, "t", 3)), (1, 0));
    drop((first, topic));
    let again = store(folder.path());
    assert_eq!((append_to(&again, "t", 1), append_to(&again, "t", 3)), (2, 1));
}

#[test]
fn a_deleted_topic_is_gone_for_those_who_still_hold_it() {
    let folder = tempfile::tempdir().unwrap();
    let open = store(folder.path());
    let old = open.create_topic("t", 1, &[]).unwrap();
    append_to(&open, "t", 0);
    open.delete_topic("t").unwrap();
    assert!(matches!(open.delete_topic("t"), Err(Error::UnknownTopic(_))));
    assert_eq!(files(&folder.path().join("topics"), ""), Vec::<String>::new());
    let new = open.create_topic("t", 1, &[]).unwrap();
    assert_ne!(old.id(), new.id());
    assert_eq!(append_to(&open, "t", 0), 0, "the old records are gone");
    {
        let mut log = old.partition(0).unwrap().lock();
        let error = log.append(&mut Batch::of(1).bytes(), 0).unwrap_err();
        assert_eq!(error.to_string(), "unknown topic t-0");
        assert!(log.append_marker(1, 0, true, 0).is_err());
        assert!(log.read(0, 1, 1).is_err());
        assert!(log.delete_records(-1).is_err());
        assert!(log.offset_for_time(0).is_err());
        log.maintain(i64::MAX).unwrap();
    }
    drop((old, new, open));
    assert_eq!(append_to(&store(folder.path()), "t", 0), 1);
}

#[test]
fn a_deletion_that_was_interrupted_is_finished() {
    let folder = tempfile::tempdir().unwrap();
    let topics = folder.path().join("topics");
    // Stopped after the journal was written: as by a crash, with one folder renamed already.
    let stopped = |name: &str| {
        let open = store(folder.path());
        open.create_topic(name, 2, &[]).unwrap();
        append_to(&open, name, 0);
        let key = format!("topic/{name}");
        let mut journal = open.journal();
        let entry = journal.get(key.as_bytes()).unwrap().to_vec();
        let deleting = format!("deleting/{name}");
        let changes = [Change::Delete(key.as_bytes()), Change::Put(deleting.as_bytes(), &entry)];
        journal.apply(&changes).unwrap();
    };
    stopped("t");
    std::fs::rename(topics.join("t-1"), topics.join("00-1.deleted")).unwrap();
    let open = store(folder.path());
    assert_eq!((names(&open), files(&topics, "")), (vec![], vec![]));
    assert_eq!(open.journal().iter(b"").count(), 0);
    drop(open);

    // Stopped by an error: the name can be used again at once, and keeps its records.
    stopped("u");
    let open = store(folder.path());
    open.create_topic("u", 1, &[]).unwrap();
    assert_eq!(append_to(&open, "u", 0), 0);
    drop(open);
    assert_eq!(append_to(&store(folder.path()), "u", 0), 1);
}

#[test]
fn the_longest_name_fits_into_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let name = "x".repeat(249);
    store.create_topic(&name, 1, &[]).unwrap();
    store.add_partitions(&name, 11).unwrap();
    store.delete_topic(&name).unwrap();
    assert_eq!(files(&folder.path().join("topics"), ""), Vec::<String>::new());
}

#[test]
fn maintenance_reaches_every_partition_and_says_what_failed() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    store.create_topic("t", 2, &[pair("retention.ms", "1000"), pair("segment.bytes", "100")]).unwrap();
    for _ in 0..3 {
        append_to(&store, "t", 0);
        append_to(&store, "t", 1);
    }
    std::fs::remove_dir_all(folder.path().join("topics/t-0")).unwrap();
    let failed = store.maintain(5000);
    assert_eq!(failed.len(), 1);
    assert!(failed[0].to_string().contains("t-0"), "{}", failed[0]);
    assert_eq!(store.topic("t").unwrap().partition(1).unwrap().lock().start_offset(), 3);
    assert!(store.close().is_err());
}
