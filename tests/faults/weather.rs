//! What networks do, by a proxy through which all goes.
use std::thread;
use std::time::{Duration, Instant};

use crate::OnBroker;
use crate::harness::app::Library;
use crate::harness::kafka::{Kafka, Kind};
use crate::harness::proxy::Weather;
use crate::harness::stream::{Load, Mode, Stream};
use crate::outages::{end_well, go_on, is_outwaited, streams};

pub(crate) const TRIALS: &[OnBroker] = &[
    ("proxy::a_black_hole_for_20_s", a_black_hole),
    ("proxy::connections_are_cut_every_second", connections_are_cut_every_second),
    ("proxy::connections_are_cut_in_mid_frame", connections_are_cut_in_mid_frame),
    ("proxy::all_comes_200_ms_late", all_comes_late),
    ("proxy::a_megabyte_a_second", a_megabyte_a_second),
];

/// How long connections are cut.
const STORM: Duration = Duration::from_secs(8);

fn a_black_hole(kind: Kind, library: Library) {
    let (proxy, kafka) = Kafka::start_behind_proxy(kind);
    let silence = |is_on| proxy.turn(if is_on { Weather::BlackHole } else { Weather::Clear });
    is_outwaited(&kafka, library, silence);
}

fn connections_are_cut_every_second(kind: Kind, library: Library) {
    let (proxy, kafka) = Kafka::start_behind_proxy(kind);
    let streams = streams(&kafka, library, Load::default());
    go_on(&streams);
    let opened = proxy.opened();
    for _ in 0..STORM.as_secs() {
        proxy.cut();
        thread::sleep(Duration::from_secs(1));
    }
    go_on(&streams);
    end_well(streams, &kafka, proxy.opened() - opened);
}

fn connections_are_cut_in_mid_frame(kind: Kind, library: Library) {
    let (proxy, kafka) = Kafka::start_behind_proxy(kind);
    let streams = streams(&kafka, library, Load::default());
    go_on(&streams);
    let opened = proxy.opened();
    proxy.turn(Weather::Torn);
    thread::sleep(STORM);
    proxy.turn(Weather::Clear);
    let broken = proxy.opened() - opened;
    assert!(broken >= 10, "only {broken} connections broke");
    go_on(&streams);
    end_well(streams, &kafka, broken);
}

fn all_comes_late(kind: Kind, library: Library) {
    let late = Duration::from_millis(200);
    let load = Load { most: 10_000, ..Load::default() };
    let took = through(Weather::Late(late), kind, library, load);
    assert!(took > 4 * late, "it was not late");
}

fn a_megabyte_a_second(kind: Kind, library: Library) {
    const RATE: usize = 1_000_000;
    let load = Load { rate: 10_000, size: 1000, most: 5000 };
    let took = through(Weather::Slow(RATE), kind, library, load);
    let least = Duration::from_secs_f64((load.size * load.most) as f64 / RATE as f64);
    assert!(took > least, "{took:?} for {least:?}");
}

/// A load through weather that stays, to one partition, over one connection. How long it took.
fn through(weather: Weather, kind: Kind, library: Library, load: Load) -> Duration {
    let (proxy, kafka) = Kafka::start_behind_proxy(kind);
    let streams = Mode::ALL.map(|mode| (mode, kafka.topic("weather", 1)));
    proxy.turn(weather);
    let begun = Instant::now();
    let streams = streams.map(|(mode, topic)| Stream::start(&kafka, library, &topic, mode, load));
    end_well(streams, &kafka, 0);
    begun.elapsed()
}
