//! Kafka's wire format. All but `net` is pure: no sockets, no clock, no runtime. Shared by the embedded
//! broker and by the clients, so every message reads and writes in both roles.
//!
//! What comes from a socket is not trusted. A reader never allocates for a count before the bytes
//! that the count stands for have been read, what it allocates in all is bounded by a budget, and
//! no input makes it panic. (The crate `kafka-protocol` reserves memory for whatever count a
//! request claims: thirty bytes abort the process. It is the oracle of the tests here, only.)
//!
//! Sources: the protocol guide (<https://kafka.apache.org/protocol>), the message definitions in
//! Apache Kafka's `clients/src/main/resources/common/message`, KIP-482 (flexible versions) and
//! KIP-98 (record batches).
//!
//! - [`Reader`] and [`Writer`]: the primitive types.
//! - [`Field`]: whatever can stand in a message; `message!` makes one of a table of fields.
//! - [`messages`]: the messages, [`APIS`]: which are served, in which versions.
//! - [`RequestHeader`], [`Frame`]: what stands around a message.
//! - [`batch`]: the heads of record batches, which are what a message's records are; [`Codec`]: how
//!   their records are compressed; [`records`]: writing and reading whole batches.

#[macro_use]
mod message;

mod api;
#[cfg(any(feature = "broker", feature = "native", feature = "rskafka"))]
pub mod batch;
#[cfg(any(feature = "broker", feature = "native"))]
mod codec;
#[cfg(any(feature = "broker", feature = "native", feature = "rskafka"))]
mod crc32c;
mod error_code;
mod field;
mod frame;
mod header;
pub mod messages;
#[cfg(any(feature = "native", feature = "rskafka"))]
pub mod net;
mod reader;
#[cfg(any(feature = "broker", feature = "native"))]
pub mod records;
mod writer;

#[cfg(test)]
mod arbitrary;

pub use api::{APIS, Api, ApiKey, Message, Request};
#[cfg(any(feature = "broker", feature = "native"))]
pub use codec::Codec;
#[cfg(any(feature = "broker", feature = "native", feature = "rskafka"))]
pub use crc32c::{Crc32c, crc32c};
pub use error_code::ErrorCode;
pub use field::{Blob, Field, Nullable, Records, Text, Uuid, Version};
pub use frame::{Frame, Piece, encode_request, encode_response};
pub use header::{RequestHeader, ResponseHeader};
pub use reader::{BUDGET, DecodeError, Problem, Reader};
pub use writer::{EncodeError, Misfit, Writer};
