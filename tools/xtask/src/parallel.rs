//! Work on two items at a time: an emulated machine keeps one core of this machine busy, a build the other.

use anyhow::Result;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Number of items at the same time.
const WORKERS: usize = 2;

/// Runs a function on every item and returns the results in the items' order.
///
/// # Errors
/// The first error in the items' order; items that were not begun by then are left out.
pub fn each<T: Sync, R: Send>(items: &[T], run: impl Fn(&T) -> Result<R> + Sync) -> Result<Vec<R>> {
    let next = AtomicUsize::new(0);
    let results: Vec<Mutex<Option<Result<R>>>> = items.iter().map(|_| Mutex::new(None)).collect();
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some((item, slot)) = items.get(index).zip(results.get(index)) else { return };
                    let result = run(item);
                    if result.is_err() {
                        next.store(items.len(), Ordering::Relaxed);
                    }
                    if let Ok(mut slot) = slot.lock() {
                        *slot = Some(result);
                    }
                }
            });
        }
    });
    // Items that were not begun come after the error that stopped the work.
    results.into_iter().filter_map(|slot| slot.into_inner().ok().flatten()).collect()
}

#[cfg(test)]
mod tests {
    use super::each;
    use anyhow::{Result, bail};

    #[test]
    fn results_keep_their_order_and_an_error_is_never_lost() {
        let items: Vec<u32> = (0..50).collect();
        let doubled = each(&items, |&item| Ok(2 * item)).expect("no error");
        assert_eq!(doubled, items.iter().map(|item| 2 * item).collect::<Vec<_>>());
        for wrong in [0, 7, 49] {
            let found: Result<Vec<u32>> = each(&items, |&item| if item == wrong { bail!("{item}") } else { Ok(item) });
            assert_eq!(found.expect_err("an error").to_string(), wrong.to_string());
        }
    }
}
