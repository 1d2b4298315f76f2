//! KILL, where a protocol has it: one client ends another of the same user, or what that runs, by the number that
//! the other was given. The server room finds it, wherever in the fleet it is.

use std::ops::Range;

/// The numbers that clients are given. Those below are left to databases: a number that is in none of the
/// proxy's clients' hands is for them to judge. The highest bit stays clear: drivers keep it as a signed number.
pub const CLIENT_IDS: Range<u32> = 1 << 21..1 << 31;

/// What a client asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Kill {
    /// The number of the other one.
    pub id: u32,
    /// It is to go; or else only what it runs is to end.
    pub whole: bool,
}

/// What became of that.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Killed {
    /// It is over, or nothing ran: it strikes nothing any more.
    Done,
    /// Nobody has that number.
    Unknown,
    /// Who has it is another user's.
    NotOwner,
    /// Whose number it is can't be told: more than one pod may have given it out.
    Ambiguous,
    /// Its pod, or its database, can't be told, or doesn't answer.
    Undelivered,
}
