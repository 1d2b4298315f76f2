//! The rules of a session, by what MySQL 8.0.31 and MariaDB 10.11.19 answer.

mod again;
mod anew;
mod diagnosing;
mod holding;
mod judging;
mod kills;
mod left_over;
mod losing;
mod pair;
mod pieces;
mod prepared;
mod strangers;
mod telling;
mod unbinding;

use super::*;
