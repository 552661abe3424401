//! Places for connections: when all are taken, whoever waits longest without a request makes room.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// All places of a server.
#[derive(Debug)]
pub(crate) struct Places {
    limit: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    taken: usize,
    next_turn: u64,
    /// Connections without a request under way, the longest wait first.
    waiting: BTreeMap<u64, Arc<Notify>>,
}

/// One connection's place, given back on drop.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
    sent_away: Arc<Notify>,
    turn: Mutex<Option<Turn>>,
}

#[derive(Clone, Copy, Debug)]
struct Turn {
    number: u64,
    since: Instant,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Places {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            state: Mutex::default(),
        })
    }

    /// Takes a place, if need be that of the connection that waits longest; None when every one has a request under way.
    pub(crate) fn take(self: &Arc<Self>) -> Option<Arc<Place>> {
        let full = locked(&self.state).taken >= self.limit;
        if full && !self.make_room() {
            return None;
        }
        locked(&self.state).taken += 1;
        let place = Arc::new(Place {
            places: Arc::clone(self),
            sent_away: Arc::default(),
            turn: Mutex::default(),
        });
        place.wait();
        Some(place)
    }

    /// Sends away the connection that waits longest; false when none waits.
    pub(crate) fn make_room(&self) -> bool {
        let longest = locked(&self.state).waiting.pop_first();
        longest.is_some_and(|(_, sent_away)| {
            sent_away.notify_one();
            true
        })
    }
}

impl Place {
    /// The connection has no request under way from now on, or has just taken a piece of its answer.
    pub(crate) fn wait(&self) {
        self.begin();
        let mut state = locked(&self.places.state);
        let number = state.next_turn;
        state.next_turn += 1;
        state.waiting.insert(number, Arc::clone(&self.sent_away));
        let since = Instant::now();
        *locked(&self.turn) = Some(Turn { number, since });
    }

    /// A request has arrived; until it is answered the connection is not sent away.
    pub(crate) fn begin(&self) {
        // The two locks are never held together here: elsewhere they are taken the other way round.
        let turn = locked(&self.turn).take();
        if let Some(turn) = turn {
            locked(&self.places.state).waiting.remove(&turn.number);
        }
    }

    /// How long the connection has had no request under way.
    pub(crate) fn waited(&self) -> Duration {
        locked(&self.turn).map_or(Duration::ZERO, |turn| turn.since.elapsed())
    }

    /// Resolves once the connection has to make room.
    pub(crate) async fn sent_away(&self) {
        self.sent_away.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.begin();
        locked(&self.places.state).taken -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn is_sent_away(place: &Place) -> bool {
        tokio::time::timeout(Duration::from_millis(10), place.sent_away())
            .await
            .is_ok()
    }

    #[tokio::test]
    async fn who_waits_longest_makes_room() {
        let places = Places::new(2);
        let first = places.take().expect("a place");
        let second = places.take().expect("a place");
        first.begin();
        first.wait();
        let third = places.take().expect("the place of the second");
        assert!(is_sent_away(&second).await);
        assert!(!is_sent_away(&first).await && !is_sent_away(&third).await);
    }

    #[tokio::test]
    async fn nobody_is_sent_away_from_a_request() {
        let places = Places::new(1);
        let busy = places.take().expect("a place");
        busy.begin();
        assert!(places.take().is_none());
        assert!(!is_sent_away(&busy).await);
        drop(busy);
        assert!(places.take().is_some());
    }
}
