//! Fleets of MySQL's.

mod answer;
mod backend;
mod judge;
mod login;
mod overheard;
mod peer;
mod script;
mod speaker;
mod wire;

use std::sync::{Arc, OnceLock};

use dbproxy_mysql::{Credential, MySql, User, UserMethod, Users, Verifier};

use crate::clients::{PASSWORD, USERS};
use crate::model::Model;

/// What the databases say that they are.
const VERSION: &str = "8.0.31";

impl Model for MySql {
    type Peer = peer::Peer;
    type Speaker = speaker::Speaker;
    type Overheard = overheard::Overheard;
    const VERSION: Option<&'static str> = Some(VERSION);
    const INIT_QUERY: &'static str = backend::INIT_QUERY;
    const KEYED_BY_DATABASE: bool = false;
    const NEVER: &'static [&'static str] = &["heard"];

    fn users() -> Arc<Users> {
        static MADE: OnceLock<Arc<Users>> = OnceLock::new();
        let methods = [UserMethod::CachingSha2, UserMethod::Native];
        let make = || {
            let user = |(name, method): (&str, UserMethod)| {
                let user = User {
                    name: name.into(),
                    passwords: vec![PASSWORD.into()],
                    credential: Credential {
                        method,
                        verifiers: [Verifier::new(PASSWORD)].into(),
                    },
                };
                (name.into(), Arc::new(user))
            };
            Arc::new(Users {
                by_name: USERS.into_iter().zip(methods).map(user).collect(),
                fleet_secret: vec![7; 32],
            })
        };
        MADE.get_or_init(make).clone()
    }
}
