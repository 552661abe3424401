//! The pace of the ledger: freeze, apply, wait for consensus, publish.

use super::{locked, readable, Closing, Node, VisibleEntries};
use crate::host::stack::with_deep_stack;
use crate::random::Purpose;
use crate::tx::fates::Reason;
use crate::types::NodeError;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

impl Node {
    /// The closing loop; returns only when a close fails. With a zero close it waits forever.
    pub async fn run(self: Arc<Self>) -> Result<(), NodeError> {
        if self.config.ledger_close.is_zero() {
            std::future::pending::<()>().await;
        }
        loop {
            let anchor = *self.frozen_at.borrow();
            let decided = self.decide_next();
            let wait = if decided.at_once {
                Duration::ZERO
            } else {
                self.next_interval() + decided.stall
            };
            let freeze_at = anchor + wait;
            tokio::select! {
                () = tokio::time::sleep_until(freeze_at.into()) => {}
                // An advance closed ledgers meanwhile: the next freeze is counted from the last of them.
                () = self.rescheduled.notified() => continue,
            }
            let node = Arc::clone(&self);
            let frozen_at = blocking(move || {
                let mut closing = locked(&node.closing);
                if *node.frozen_at.borrow() != anchor {
                    return Ok(None);
                }
                node.freeze(&mut closing)?;
                Ok(Some(*node.frozen_at.borrow()))
            })
            .await?;
            let Some(frozen_at) = frozen_at else {
                continue;
            };
            let mut visible_at = frozen_at + self.config.consensus_delay;
            if decided.at_once {
                visible_at = frozen_at;
            }
            tokio::time::sleep_until(visible_at.into()).await;
            let node = Arc::clone(&self);
            blocking(move || {
                let mut closing = locked(&node.closing);
                // An advance may have published it already, and may even have frozen ledgers of its own since.
                if *node.frozen_at.borrow() == frozen_at {
                    node.publish(&mut closing);
                    drop(closing);
                    node.tell_agents();
                }
                Ok(())
            })
            .await?;
        }
    }

    /// From one freeze to the next, jitter included.
    fn next_interval(&self) -> Duration {
        let jitter_us = u64::try_from(self.config.ledger_jitter.as_micros()).unwrap_or(u64::MAX);
        if jitter_us == 0 {
            return self.config.ledger_close;
        }
        let offset_us = self.random.below(
            Purpose::Jitter,
            jitter_us.saturating_mul(2).saturating_add(1),
        );
        (self.config.ledger_close + Duration::from_micros(offset_us))
            .saturating_sub(self.config.ledger_jitter)
    }

    /// Closes one ledger, and what belongs to it: a burst follows it at once.
    pub(super) fn close_one(&self, closing: &mut Closing) -> Result<(), NodeError> {
        self.freeze(closing)?;
        self.publish(closing);
        self.tell_agents();
        while self.decide_next().at_once {
            self.freeze(closing)?;
            self.publish(closing);
            self.tell_agents();
        }
        Ok(())
    }

    /// Fixes the next set by the clock and applies it, out of sight.
    fn freeze(&self, closing: &mut Closing) -> Result<(), NodeError> {
        // Nobody may have shown the last one, when the loop was stopped between freeze and consensus.
        self.publish(closing);
        self.frozen_at.send_replace(Instant::now());
        let decided = self.decide_next();
        self.move_clock(&decided);
        closing.clock_offset_ms = self.clock.offset_ms();
        let close_time_ms = self.next_close_time_ms(closing, &decided);
        let next = closing.tip.header.ledger_seq + 1;
        let candidates =
            locked(&self.queue).spread_candidates(next, &self.settings, self.clock.now_ms());
        self.frozen.send_replace(next);
        let closer = self.closer(&decided);
        let Closing { tip, modules, .. } = closing;
        let applied = if candidates.iter().all(Vec::is_empty) {
            // Nothing will call a contract, so the stack at hand will do.
            let entries = VisibleEntries(&self.visible);
            closer.close(tip, close_time_ms, candidates, &entries, modules)
        } else {
            with_deep_stack("apply", || {
                let entries = VisibleEntries(&self.visible);
                closer.close(tip, close_time_ms, candidates, &entries, modules)
            })
            .ok_or_else(|| NodeError::Internal("applying a ledger panicked".into()))?
        };
        // Who sends one of these again shall not be told that it waits.
        let mut queue = locked(&self.queue);
        for (tx, code) in &applied.invalid {
            queue.ban(tx, Reason::Invalid(code));
        }
        drop(queue);
        closing.ready = Some(applied);
        Ok(())
    }

    /// Shows the applied ledger, if there is one, all at once.
    pub(super) fn publish(&self, closing: &mut Closing) {
        let Some(applied) = closing.ready.take() else {
            return;
        };
        let sequence = applied.closed.summary.sequence;
        {
            let mut queue = locked(&self.queue);
            let mut visible = self.visible.write().unwrap_or_else(PoisonError::into_inner);
            visible.clock_offset_ms = closing.clock_offset_ms;
            visible.state.publish(sequence, applied.changes);
            visible.history.push(Arc::new(applied.closed));
            drop(visible);
            queue.ledger_closed(&applied.applied);
            // Checking all that waits takes a while; readers need not wait for it, only submissions.
            self.drop_invalid(&mut queue, &readable(&self.visible));
        }
        closing.tip = applied.tip;
        self.latest.send_replace(sequence);
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, NodeError> + Send + 'static,
) -> Result<T, NodeError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| {
        Err(NodeError::Internal(
            "a task of the closing loop panicked".into(),
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::NodeConfig;

    #[test]
    fn a_long_advance_does_not_hold_up_the_runtime() {
        let node = Node::new(NodeConfig::default()).expect("a node");
        let (told, done) = std::sync::mpsc::channel();
        let closing = locked(&node.closing);
        std::thread::scope(|scope| {
            let running = Arc::clone(&node);
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .expect("a runtime");
                runtime.block_on(async {
                    // The only thread of this runtime must come round to the time limit.
                    let _ = tokio::time::timeout(Duration::from_millis(50), running.run()).await;
                });
                told.send(()).expect("somebody waits");
            });
            let in_time = done.recv_timeout(Duration::from_secs(10));
            drop(closing);
            assert!(in_time.is_ok(), "the loop waited for the lock");
        });
    }
}
