//! Which library runs: the choice, the fallback, and the refusal of what a library cannot do.

use thiserror::Error;

use super::capability::{Check, check};
use super::{Inspector, Keeper, Log, PublishPlan, Publisher, SubscribePlan, Subscriber};
use crate::settings::{Choice, KeyId, Layers, Library, Mistakes, Place, Settings, Side};

/// What a run is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Publishing.
    Publish,
    /// Reading: as a member of the group when `group.id` is set.
    Subscribe,
    /// Reading partitions of one's own choice, whatever `group.id` says.
    ReadPartitions,
    /// Looking at topics, offsets and groups.
    Inspect,
}

impl Purpose {
    /// The side of the settings it reads.
    pub fn side(self) -> Side {
        if self == Self::Publish { Side::Producer } else { Side::Consumer }
    }

    /// The group it is a member of.
    pub fn group(self, settings: &Settings) -> Option<&str> {
        if self == Self::Subscribe { settings.text(KeyId::GroupId) } else { None }
    }
}

/// The library of a run and the settings resolved for it.
#[derive(Debug, Clone)]
pub struct Chosen {
    /// The library.
    pub library: Library,
    /// Its settings.
    pub settings: Settings,
    /// To be told, one line each.
    pub warnings: Vec<String>,
}

/// Why no library runs. All of these are usage errors.
#[derive(Debug, Error)]
pub enum NoLibrary {
    /// Mistakes in the settings.
    #[error(transparent)]
    Mistakes(#[from] Mistakes),
    /// Built without any.
    #[error("no Kafka library available: build with --features rdkafka or --features rskafka")]
    NoneBuilt,
    /// The one asked for is not built in.
    #[error("{place}: library {library} is not built in: build with --features {library}")]
    NotBuilt {
        /// The library.
        library: Library,
        /// Where it was asked for.
        place: Place,
    },
    /// It cannot do what was asked.
    #[error("{}", .0.join("; "))]
    Incapable(Vec<String>),
}

/// The libraries built in, the preferred one first.
pub fn available() -> Vec<Library> {
    Library::ALL.iter().copied().filter(|l| is_available(*l)).collect()
}

/// True when the library is built in.
pub fn is_available(library: Library) -> bool {
    match library {
        Library::Native => cfg!(feature = "native"),
        Library::Rdkafka => cfg!(feature = "rdkafka"),
        Library::Rskafka => cfg!(feature = "rskafka"),
    }
}

/// Version and compiled-in features of a library that is here.
pub fn build_of(library: Library) -> Option<(String, Vec<String>)> {
    match library {
        #[cfg(feature = "native")]
        Library::Native => Some(super::native::build()),
        #[cfg(feature = "rdkafka")]
        Library::Rdkafka => Some(super::rdkafka::build()),
        #[cfg(feature = "rskafka")]
        Library::Rskafka => Some(super::rskafka::build()),
        #[allow(unreachable_patterns, reason = "reachable when a feature is off")]
        _ => None,
    }
}

/// Chooses the library for a run and resolves its settings.
///
/// # Errors
/// See [`NoLibrary`].
pub fn choose(layers: &Layers, purpose: Purpose) -> Result<Chosen, NoLibrary> {
    let (choice, place) = layers.library()?;
    let here = available();
    let Some(&first) = here.first() else { return Err(NoLibrary::NoneBuilt) };
    match choice {
        Choice::Only(library) if here.contains(&library) => only(layers, library, purpose),
        Choice::Only(Library::Rdkafka) => {
            let instead = if here.contains(&Library::Rskafka) { Library::Rskafka } else { first };
            let mut chosen = only(layers, instead, purpose)?;
            chosen.warnings.insert(
                0,
                format!(
                    "{place}: library rdkafka is not built in, {instead} runs instead (build with --features rdkafka to have it)"
                ),
            );
            Ok(chosen)
        }
        Choice::Only(library) => Err(NoLibrary::NotBuilt { library, place }),
        Choice::Auto => first_able(layers, &here, purpose),
    }
}

/// What to use for these settings.
#[derive(Debug, Default)]
pub struct Advice {
    /// The first library `auto` prefers that can publish and subscribe with them; none if no library here can.
    pub library: Option<Library>,
    /// What those before it lack, a line each.
    pub because: Vec<String>,
}

/// Which library to use for these settings, whichever they name.
///
/// # Errors
/// Mistakes in the settings.
pub fn advise(layers: &Layers) -> Result<Advice, Mistakes> {
    let mut advice = Advice::default();
    for library in available() {
        let before = advice.because.len();
        for purpose in [Purpose::Publish, Purpose::Subscribe] {
            let (_, lacks) = held_against(layers, library, purpose)?;
            let new = lacks.into_iter().filter(|lack| !advice.because.contains(lack)).collect::<Vec<_>>();
            advice.because.extend(new);
        }
        if advice.because.len() == before {
            advice.library = Some(library);
            break;
        }
    }
    Ok(advice)
}

fn only(layers: &Layers, library: Library, purpose: Purpose) -> Result<Chosen, NoLibrary> {
    let (chosen, lacks) = held_against(layers, library, purpose)?;
    chosen.settings.check_found_servers()?;
    if lacks.is_empty() { Ok(chosen) } else { Err(NoLibrary::Incapable(lacks)) }
}

fn first_able(layers: &Layers, here: &[Library], purpose: Purpose) -> Result<Chosen, NoLibrary> {
    let mut refusals = Vec::new();
    for &library in here {
        let (chosen, lacks) = held_against(layers, library, purpose)?;
        chosen.settings.check_found_servers()?;
        if lacks.is_empty() {
            return Ok(chosen);
        }
        refusals.extend(lacks);
    }
    Err(NoLibrary::Incapable(refusals))
}

/// The settings for this library, and what it lacks for them.
fn held_against(
    layers: &Layers,
    library: Library,
    purpose: Purpose,
) -> Result<(Chosen, Vec<String>), Mistakes> {
    let settings = layers.resolve(purpose.side(), library)?;
    let Check { lacks, warnings } = check(library, &settings, purpose);
    Ok((Chosen { library, settings, warnings }, lacks))
}

impl Chosen {
    /// True when brokers tell batches that are sent again from new ones.
    pub fn is_idempotent(&self) -> bool {
        self.settings.bool(KeyId::EnableIdempotence) && self.library != Library::Rskafka
    }
}

/// Opens a publisher on the chosen library.
///
/// # Errors
/// As the library's own.
pub fn open_publisher(chosen: &Chosen, plan: &PublishPlan) -> super::Result<Box<dyn Publisher>> {
    match chosen.library {
        #[cfg(feature = "native")]
        Library::Native => super::native::open_publisher(&chosen.settings, plan),
        #[cfg(feature = "rdkafka")]
        Library::Rdkafka => super::rdkafka::open_publisher(&chosen.settings, plan),
        #[cfg(feature = "rskafka")]
        Library::Rskafka => super::rskafka::open_publisher(&chosen.settings, plan),
        #[allow(unreachable_patterns, reason = "reachable when a feature is off")]
        library => Err(not_built(library, plan)),
    }
}

/// Opens a subscriber on the chosen library.
///
/// # Errors
/// As the library's own.
pub fn open_subscriber(chosen: &Chosen, plan: &SubscribePlan) -> super::Result<Box<dyn Subscriber>> {
    match chosen.library {
        #[cfg(feature = "native")]
        Library::Native => grouped(super::native::open_subscriber(&chosen.settings, plan)?, chosen, plan),
        #[cfg(feature = "rdkafka")]
        Library::Rdkafka => super::rdkafka::open_subscriber(&chosen.settings, plan),
        #[cfg(feature = "rskafka")]
        Library::Rskafka => grouped(super::rskafka::open_subscriber(&chosen.settings, plan)?, chosen, plan),
        #[allow(unreachable_patterns, reason = "reachable when a feature is off")]
        library => Err(not_built(library, plan)),
    }
}

/// Opens a keeper of topics, as [`open_inspector`] an inspector.
///
/// # Errors
/// As the library's own.
pub fn open_keeper(chosen: &Chosen, log: &Log) -> super::Result<Box<dyn Keeper>> {
    match chosen.library {
        #[cfg(any(feature = "native", feature = "rskafka"))]
        Library::Native | Library::Rskafka => super::wired::open_keeper(&chosen.settings),
        #[cfg(feature = "rdkafka")]
        Library::Rdkafka => super::rdkafka::open_keeper(&chosen.settings, log),
        #[allow(unreachable_patterns, reason = "reachable when a feature is off")]
        library => Err(not_built(library, log)),
    }
}

/// Membership of the group, if there is to be one, for a library that has none of its own.
#[cfg(any(feature = "native", feature = "rskafka"))]
fn grouped(
    reader: Box<dyn Subscriber>,
    chosen: &Chosen,
    plan: &SubscribePlan,
) -> super::Result<Box<dyn Subscriber>> {
    if plan.grouped { super::grouped::open(reader, &chosen.settings) } else { Ok(reader) }
}

/// Opens an inspector on the chosen library. rskafka has no calls for most of it: ours are used.
///
/// # Errors
/// As the library's own.
pub fn open_inspector(chosen: &Chosen, log: &Log) -> super::Result<Box<dyn Inspector>> {
    match chosen.library {
        #[cfg(any(feature = "native", feature = "rskafka"))]
        Library::Native | Library::Rskafka => super::wired::open_inspector(&chosen.settings),
        #[cfg(feature = "rdkafka")]
        Library::Rdkafka => super::rdkafka::open_inspector(&chosen.settings, log),
        #[allow(unreachable_patterns, reason = "reachable when a feature is off")]
        library => Err(not_built(library, log)),
    }
}

#[allow(dead_code, reason = "used when a feature is off")]
fn not_built(library: Library, _plan: &impl std::fmt::Debug) -> super::Error {
    super::Error::new(super::ErrorKind::Unsupported, format!("library {library} is not built in"))
}
