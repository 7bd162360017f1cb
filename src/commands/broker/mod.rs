//! `kps broker`: an embedded broker until a signal ends it, or as long as a command runs.

mod command;
mod listen;
mod ready;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use rustix::event::{PollFd, PollFlags, poll};

use self::ready::ReadyFile;
use super::child::Relay;
use super::embedded::{failed, log};
use super::output::Output;
use super::{Exit, usage};
use crate::broker::storage::{self, Fsync};
use crate::broker::{Broker, Error, Options};
use crate::cli::BrokerArgs;
use crate::console;
use crate::stop::Stop;
use crate::units;

/// Runs the command.
pub(super) fn run(args: &BrokerArgs, stop: &Stop) -> Result<Exit> {
    let options = options(args)?;
    stop.catch_hangup()?;
    // From here on the first signal ends nothing before all is put away.
    if args.command.is_empty() {
        stop.arm(|| "left at once: what it was writing is put in order at the next start".to_owned());
        with_broker(args, options, |broker, addr| serve(broker, addr, args, stop))
    } else {
        let relay = Relay::install(stop);
        with_broker(args, options, |_, addr| Ok(command::run(&relay, &args.command, addr)))
    }
}

/// Runs something while a broker runs, with the address that clients on this machine use.
fn with_broker(
    args: &BrokerArgs,
    options: Options,
    run: impl FnOnce(&Broker, SocketAddr) -> Result<Exit>,
) -> Result<Exit> {
    let mut ready = args.ready_file.as_deref().map(ReadyFile::prepare).transpose()?;
    let broker = Broker::start(options).map_err(failed)?;
    listen::warning(broker.addr()).iter().for_each(console::warn);
    let addr = listen::reachable(broker.addr());
    if let Some(ready) = &mut ready {
        ready.write(addr)?;
    }
    let exit = run(&broker, addr);
    // Nobody is to find the address of a broker that has ended.
    drop(ready);
    end(broker, exit)
}

/// Serves until a signal comes.
fn serve(broker: &Broker, addr: SocketAddr, args: &BrokerArgs, stop: &Stop) -> Result<Exit> {
    Output::print(&format!("{addr}\n"))?;
    let how_long = if args.data.is_some() { "" } else { " until it ends" };
    console::say(format!("records are kept in {}{how_long}", broker.folder().display()));
    loop {
        if let Some(signal) = stop.signal() {
            return Ok(Exit::Signal(signal));
        }
        // Whatever ends the wait, the signal is what counts.
        let _ = poll(&mut [PollFd::from_borrowed_fd(stop.fd(), PollFlags::IN)], None);
    }
}

/// Stops the broker. What went wrong before is the stronger reason.
fn end(broker: Broker, exit: Result<Exit>) -> Result<Exit> {
    let stopped = broker.stop().map_err(failed);
    let exit = exit?;
    match (stopped, exit) {
        (Err(e), Exit::Done | Exit::Command(0)) => Err(e),
        (Err(e), exit) => {
            console::error(e);
            Ok(exit)
        }
        (Ok(()), exit) => Ok(exit),
    }
}

/// What the flags mean.
///
/// # Errors
/// Usage errors.
fn options(args: &BrokerArgs) -> Result<Options> {
    let default = if args.command.is_empty() { listen::DEFAULT } else { listen::DEFAULT_FOR_COMMAND };
    if !(1..=storage::MAX_PARTITIONS).contains(&args.partitions) {
        return Err(usage(format!("--partitions: {}", Error::Partitions(args.partitions))));
    }
    Ok(Options {
        listen: args.listen.as_deref().map_or(Ok(default), listen::parse).map_err(usage)?,
        data: args.data.clone(),
        partitions: args.partitions,
        auto_create: !args.no_auto_create,
        storage: storage::Options {
            retain_bytes: limit("--retain-bytes", &args.retain_bytes, units::parse_size)?,
            retain_time: limit("--retain-time", &args.retain_time, units::parse_duration)?,
            fsync: fsync(&args.fsync)?,
            ..storage::Options::default()
        },
        log: log(),
        ..Options::default()
    })
}

/// A limit, or `none`.
fn limit<T>(
    flag: &str,
    typed: &str,
    parse: impl Fn(&str) -> Result<T, units::UnitError>,
) -> Result<Option<T>> {
    if typed == "none" {
        return Ok(None);
    }
    parse(typed).map(Some).map_err(|e| usage(format!("{flag}: {e}, or none")))
}

fn fsync(typed: &str) -> Result<Fsync> {
    match typed {
        "never" => Ok(Fsync::Never),
        "always" => Ok(Fsync::EveryAppend),
        _ => match units::parse_duration(typed) {
            Ok(Duration::ZERO) => Ok(Fsync::EveryAppend),
            Ok(every) => Ok(Fsync::Interval(every)),
            Err(e) => Err(usage(format!("--fsync: {e}, never or always"))),
        },
    }
}
