//! Threads with room for deep calls that stay: starting one, and giving its stack back, costs as much as a short run.

use super::stack::{caught, STACK_BYTES};
use std::sync::mpsc::{sync_channel, Receiver, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};

type Job = Box<dyn FnOnce() + Send>;

/// So many threads, each doing one piece of work at a time.
#[derive(Debug)]
pub struct Workers {
    jobs: SyncSender<Job>,
}

impl Workers {
    /// Starts the threads; they end when this is dropped and what was handed in is done.
    pub fn start(name: &str, count: usize) -> std::io::Result<Self> {
        // Whoever hands in work waits for it, so the queue is never longer than those who wait.
        let (jobs, queue) = sync_channel::<Job>(count);
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..count {
            let queue = Arc::clone(&queue);
            std::thread::Builder::new()
                .name(name.into())
                .stack_size(STACK_BYTES)
                .spawn(move || serve(&queue))?;
        }
        Ok(Self { jobs })
    }

    /// Has the work done on one of the threads and waits for it; None if it panicked.
    pub fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let (give, take) = sync_channel(1);
        let job = Box::new(move || {
            // Nobody takes it when the one who waited is gone.
            let _ = give.send(caught(work));
        });
        self.jobs.send(job).ok()?;
        take.recv().ok()?
    }
}

fn serve(queue: &Mutex<Receiver<Job>>) {
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        job();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_done_and_a_panic_ends_only_that_work() {
        let workers = Workers::start("test", 2).expect("threads");
        let number = |text: &'static str| move || text.parse::<u32>().expect("a number");
        assert_eq!(workers.run(number("7")), Some(7));
        for _ in 0..5 {
            assert_eq!(workers.run(number("x")), None);
        }
        assert_eq!(workers.run(number("8")), Some(8));
    }
}
