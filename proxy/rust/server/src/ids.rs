//! The numbers that stand for clients, unique in their pod, and in the fleet but where two pods share a
//! badge: a cancel key has one, and MySQL tells it to a client before anything else. So the front thread gives them out when clients come, and the workers
//! say where the clients are, once they know.

use std::collections::hash_map::Entry;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use crate::mailbox::lock;
use crate::peers::{Badge, NUMBERS};

/// Where in its pod a client is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// On which worker.
    pub worker: usize,
    /// In which of its slots.
    pub slot: u32,
}

/// The numbers that this pod has given out.
#[derive(Clone, Default)]
pub struct Ids(Arc<Mutex<Given>>);

#[derive(Default)]
struct Given {
    last: u32,
    /// `None`: still with the front thread.
    places: HashMap<u32, Option<Place>>,
}

impl Ids {
    /// A number that nobody has; those that were given back come again as late as possible.
    pub fn give(&self, badge: Badge) -> Id {
        let mut given = lock(&self.0);
        // More clients than there are numbers don't fit into a process: one is found.
        for _ in 0..NUMBERS {
            given.last = (given.last + 1) % NUMBERS;
            let last = given.last;
            if let Entry::Vacant(free) = given.places.entry(last) {
                free.insert(None);
                break;
            }
        }
        Id {
            number: badge.id(given.last),
            ids: self.clone(),
        }
    }

    /// Where the client is that a number stands for, once a worker has it.
    pub fn place(&self, number: u32) -> Option<Place> {
        *lock(&self.0).places.get(&(number % NUMBERS))?
    }
}

/// The number of one client; it is free again when this is dropped.
pub struct Id {
    number: u32,
    ids: Ids,
}

impl Id {
    /// As clients and other pods are told it.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Its client is there from now on.
    pub fn settle(&self, place: Place) {
        let mut given = lock(&self.ids.0);
        given.places.insert(self.number % NUMBERS, Some(place));
    }
}

impl Drop for Id {
    fn drop(&mut self) {
        lock(&self.ids.0).places.remove(&(self.number % NUMBERS));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn badge() -> Badge {
        Badge::of("10.1.2.3".parse().expect("an address"))
    }

    #[test]
    fn a_number_says_which_pod_and_leads_to_where_its_client_is() {
        let ids = Ids::default();
        let (one, other) = (ids.give(badge()), ids.give(badge()));
        assert_ne!(one.number(), other.number());
        let place = Place { worker: 3, slot: 7 };
        assert_eq!(ids.place(one.number()), None);
        one.settle(place);
        assert_eq!(Badge::in_id(one.number()), badge());
        assert_eq!(ids.place(one.number()), Some(place));
        assert_eq!(ids.place(other.number()), None);
    }

    #[test]
    fn a_number_leads_nowhere_when_its_client_is_gone_and_comes_again_late() {
        let ids = Ids::default();
        let gone = ids.give(badge());
        gone.settle(Place { worker: 0, slot: 0 });
        let number = gone.number();
        drop(gone);
        assert_eq!(ids.place(number), None);
        assert_ne!(ids.give(badge()).number(), number);
    }

    #[test]
    fn a_number_in_use_is_passed_over_when_all_have_been_given() {
        let ids = Ids::default();
        let kept = ids.give(badge());
        let next = ids.give(badge()).number();
        lock(&ids.0).last = NUMBERS - 1;
        // Zero is a number as well.
        assert_eq!(ids.give(badge()).number(), badge().id(0));
        assert_eq!(ids.give(badge()).number(), next);
        assert!(kept.number() > 0);
    }
}
