//! What a command may do, as far as its session has to know: by `statement`, of those that have a text.

use dbproxy_engine::{PinReason, Reasons};

use crate::message::command;
use crate::statement::{Act, After, Class, Deed, Ending, Shown, State, Value, Written};

use super::killing::Kills;

/// What the proxy may be able to answer itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Own {
    /// One value, and what it is called.
    Value(Value, Written),
    /// Warnings or errors.
    List(Shown),
}

/// What is said of a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Judged {
    /// It binds its session to its backend, for these reasons.
    pub pins: Reasons,
    /// It may leave what nobody tracks, for nobody else to see.
    pub dirty: bool,
    /// What it sets and nobody follows doesn't bind; it was excused for that.
    pub is_lax: bool,
    pub is_excused: bool,
    /// Whether it may commit where no transaction is open, and where one is.
    pub commits_alone: bool,
    pub commits_inside: bool,
    /// It may change data.
    pub writes: bool,
    /// With autocommit off: it begins a transaction, or ends one.
    pub begins: bool,
    pub ends: bool,
    /// It asks for LAST_INSERT_ID(), or may.
    pub asks_id: bool,
    /// It asks by name for the id of what was inserted before it.
    pub names_id: bool,
    /// It asks how many rows the statement before has changed, how many the last SELECT found, or for warnings and errors.
    pub asks_rows: bool,
    pub asks_found: bool,
    pub asks_list: bool,
    /// For warnings and errors, and nothing else of that.
    pub asks_warnings: bool,
    /// What becomes of those.
    pub after: After,
    /// How many rows there were may be asked next, on the same backend.
    pub calculates: bool,
    /// It is a SELECT, and nothing else.
    pub selects: bool,
    /// It sets something, so that a change is what its words say.
    pub sets: bool,
    /// It sets user variables to literals, and does nothing else.
    pub assigns: bool,
    /// It reads user variables.
    pub names: bool,
    /// It sets something for the next transaction only.
    pub next_only: bool,
    /// What it takes or frees of what binds, and does nothing else.
    pub deed: Option<Deed>,
    /// It goes to another database, and does nothing else.
    pub moves: bool,
    /// It does what no reset takes back, or may: it sets what the server is to report, or another role.
    pub stains: bool,
    /// It sets autocommit.
    pub switches: bool,
    /// KILL.
    pub kills: Option<Kills>,
    /// It asks for what the proxy may know, and nothing else.
    pub own: Option<Own>,
    /// Its server may ask for a file of the client's.
    pub loads: bool,
}

fn own(act: &Act) -> Option<Own> {
    match act {
        Act::Value(value, written) => Some(Own::Value(*value, *written)),
        Act::Show(shown) => Some(Own::List(*shown)),
        _ => None,
    }
}

fn sets(act: &Act) -> bool {
    matches!(
        act,
        Act::Use | Act::Variable(..) | Act::Global(_) | Act::Names | Act::CharacterSet
    )
}

fn ends(act: &Act) -> bool {
    let plain = Ending::default();
    matches!(act, Act::Commit(ending) | Act::Rollback(ending) if *ending == plain)
}

impl Judged {
    /// It makes a temporary table or drops one, which servers report as a change.
    pub(crate) fn makes_tables(&self) -> bool {
        let table = PinReason::TemporaryObject;
        matches!(self.deed, Some(Deed::Takes(of) | Deed::Frees(of, _)) if of == table)
    }

    /// The pins of who prepares it: run by its number, it isn't seen again.
    pub(crate) fn lasts(&self, pins: Reasons) -> Reasons {
        let reasons = [
            (self.calculates, PinReason::Diagnostics),
            (self.assigns, PinReason::UserVariable),
            (self.next_only, PinReason::SessionSetting),
        ];
        let reasons = reasons.into_iter().filter(|(such, _)| *such);
        reasons.fold(pins, |pins, (_, reason)| pins.and(Reasons::of(&[reason])))
    }

    /// It changes data, with autocommit it commits that by itself, and leaves nothing else but by triggers.
    pub(crate) fn is_write(&self) -> bool {
        self.writes && self.commits_alone && !self.dirty
    }

    /// It asks for something that the statement before has left.
    pub(crate) fn asks_before(&self) -> bool {
        self.asks_rows || self.asks_found || self.asks_list
    }

    /// A command that does nothing to data.
    pub(crate) const fn harmless() -> Self {
        Self {
            pins: Reasons::NONE,
            dirty: false,
            is_lax: false,
            is_excused: false,
            commits_alone: false,
            commits_inside: false,
            writes: false,
            begins: false,
            ends: false,
            asks_id: false,
            names_id: false,
            asks_rows: false,
            asks_found: false,
            asks_list: false,
            asks_warnings: false,
            after: After::Kept,
            calculates: false,
            selects: false,
            sets: false,
            assigns: false,
            names: false,
            next_only: false,
            deed: None,
            moves: false,
            stains: false,
            switches: false,
            kills: None,
            own: None,
            loads: false,
        }
    }

    /// A command whose text isn't known, or not understood.
    pub(crate) fn unknown(reason: PinReason) -> Self {
        Self::text(&Class::unknown(reason))
    }

    /// A command of that text.
    pub(crate) fn text(class: &Class) -> Self {
        let acts = class.acts.iter().flat_map(|script| script.acts.iter());
        let acts = || acts.clone().map(|(_, act)| act);
        // Of one statement, which does nothing else.
        let only = |such: fn(&Act) -> bool| {
            class.statements == 1 && acts().next().is_some() && acts().all(such)
        };
        let mut pins = class.pins;
        let own = acts().find_map(own).filter(|_| class.statements == 1);
        let user = |act: &Act| matches!(act, Act::User(..));
        let assigns = only(user) && class.pins.is_empty() && !class.is_excused;
        let mixes = !assigns && acts().any(user);
        if mixes && !class.is_lax {
            pins = pins.and(Reasons::of(&[PinReason::UserVariable]));
        }
        let asks_number = matches!(own, Some(Own::Value(Value::ConnectionId, _)));
        let blind = Reasons::of(&[
            PinReason::Unclassified,
            PinReason::StatementTooLarge,
            PinReason::Untracked,
        ]);
        if class.asks.connection_id && !asks_number && !pins.has_any(blind) {
            pins = pins.and(Reasons::of(&[PinReason::SessionFunction]));
        }
        let stains = |act: &Act| match act {
            Act::Variable(name, _) => name.starts_with("session_track"),
            Act::Role => true,
            _ => false,
        };
        // Its OK doesn't tell which id it has made.
        let loads = acts().any(|act| *act == Act::Load);
        let ends = only(ends);
        let asks = class.asks;
        let asks_rows = asks.row_count || asks.diagnostics;
        // One that nobody understands isn't refused for what it may ask: it binds.
        let clear = !pins.has_any(blind);
        Self {
            pins,
            dirty: class.dirty || mixes,
            is_lax: class.is_lax,
            is_excused: class.is_excused || class.is_lax && mixes,
            commits_alone: class.effects.from(State::Idle).may_commit,
            commits_inside: class.effects.from(State::Transaction).may_commit,
            writes: class.writes,
            begins: !ends && !only(sets) && !assigns,
            ends,
            asks_id: class.asks.insert_id || class.dirty || loads,
            names_id: asks.former_id && clear,
            asks_rows: asks_rows && clear,
            asks_found: asks.found_rows && clear,
            asks_list: (asks.warnings || asks.diagnostics) && clear,
            asks_warnings: asks.warnings && !asks_rows && !asks.found_rows,
            after: class.after,
            calculates: class.calculates,
            selects: class.selects,
            sets: only(sets),
            assigns,
            names: class.asks.user_variables,
            next_only: acts().any(|act| *act == Act::NextTransaction),
            deed: acts().find_map(|act| match act {
                Act::Deed(deed) => Some(*deed),
                _ => None,
            }),
            moves: only(|act| *act == Act::Use),
            stains: pins.has_any(blind) || acts().any(stains),
            switches: acts()
                .any(|act| matches!(act, Act::Variable(name, _) if &**name == "autocommit")),
            kills: Kills::text(class),
            own,
            // MariaDB prepares what loads, too.
            loads: loads || pins.has_any(blind.and(Reasons::of(&[PinReason::SqlPrepare]))),
        }
    }

    /// Of a command without a text.
    pub(crate) fn command(kind: u8) -> Self {
        let pins = |reason| Self {
            pins: Reasons::of(&[reason]),
            ..Self::harmless()
        };
        match kind {
            // The text is another command's.
            command::STMT_EXECUTE => Self {
                calculates: false,
                stains: false,
                asks_rows: false,
                asks_found: false,
                asks_list: false,
                asks_warnings: false,
                dirty: false,
                ..Self::unknown(PinReason::NamedStatement)
            },
            command::STMT_FETCH | command::STMT_RESET => pins(PinReason::NamedStatement),
            command::SET_OPTION => pins(PinReason::SessionSetting),
            command::INIT_DB => Self {
                sets: true,
                moves: true,
                ..Self::harmless()
            },
            command::PING | command::STATISTICS => Self::harmless(),
            _ => Self {
                after: After::Unsure,
                ..Self::harmless()
            },
        }
    }
}
