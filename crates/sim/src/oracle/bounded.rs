//! *bounded*: no queue, cache or buffer passes its limit (I8).

use crate::oracle::{Oracle, Rest, Violation, broken};

/// See the module.
#[derive(Debug, Default)]
pub struct Bounded;

impl Oracle for Bounded {
    fn name(&self) -> &'static str {
        "bounded"
    }

    fn promise(&self) -> &'static str {
        "no queue, cache or buffer was ever seen over its limit"
    }

    /// Sizes are the largest that were seen, so that once at the end is enough.
    fn at_rest(&mut self, rest: &Rest<'_>) -> Result<(), Violation> {
        for snapshot in rest.snapshots {
            if let Some(size) = snapshot.sizes.iter().find(|size| size.size > size.limit) {
                let what = format!("{}: {}, over the limit of {}", size.what, size.size, size.limit);
                return broken(self.name(), snapshot.at_ms, snapshot.device, what);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::Sized;
    use crate::oracle::scene::{at_rest, device};

    #[test]
    fn what_was_over_its_limit_is_found_and_what_was_at_it_is_not() {
        let mut snapshot = device(0);
        snapshot.sizes = vec![Sized { what: "cache", size: 10, limit: 10 }];
        assert_eq!(at_rest(&mut Bounded, &[snapshot.clone()]), None);
        snapshot.sizes[0].size = 11;
        assert!(at_rest(&mut Bounded, &[snapshot]).unwrap().contains("cache: 11, over the limit of 10"));
    }
}
