//! The producer: its state machine alone, and all of it against brokers.

mod lane;
