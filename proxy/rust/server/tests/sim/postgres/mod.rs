//! Fleets of PostgreSQL's.

mod answers;
mod backend;
mod holding;
mod judge;
mod listening;
mod overheard;
mod peer;
mod prepared;
mod scenes;
mod script;
mod setting;
mod speaker;
mod wire;
mod yields;

use std::sync::{Arc, OnceLock};

use dbproxy_postgres::{verifier, Credential, Postgres, User, UserMethod, Users};

use crate::clients::{PASSWORD, USERS};
use crate::model::Model;

pub type Fleet = crate::fleet::Fleet<Postgres>;
pub type Desired = crate::desired::Desired<Postgres>;
pub type Proxy = crate::desired::Proxy<Postgres>;
pub type Database = crate::database::Database<peer::Peer>;

impl Model for Postgres {
    type Peer = peer::Peer;
    type Speaker = speaker::Speaker;
    type Overheard = overheard::Overheard;
    const VERSION: Option<&'static str> = None;
    const INIT_QUERY: &'static str = backend::INIT_QUERY;
    const KEYED_BY_DATABASE: bool = true;
    const NEVER: &'static [&'static str] = &[];

    fn users() -> Arc<Users> {
        static MADE: OnceLock<Arc<Users>> = OnceLock::new();
        let make = || {
            let fleet_secret = vec![7; 32];
            let user = |name: &str| {
                let user = User {
                    name: name.into(),
                    passwords: vec![PASSWORD.into()],
                    credential: Credential {
                        method: UserMethod::Md5,
                        verifiers: [verifier(name, PASSWORD, &fleet_secret)].into(),
                    },
                };
                (name.into(), Arc::new(user))
            };
            Arc::new(Users {
                by_name: USERS.map(user).into(),
                fleet_secret,
            })
        };
        MADE.get_or_init(make).clone()
    }
}
