//! The whole server on a real socket, with a runtime loop that only answers.

mod ends;
mod harness;
mod limits;
mod operations;
mod routes;
mod streams;
