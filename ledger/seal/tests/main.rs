//! Sealing, offers and the channel.

mod channel;
mod hints;
mod officers;
mod sealing;
mod support;
mod two_keys;
mod wycheproof;
