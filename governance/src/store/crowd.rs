//! When to look for what nobody needs any more, where nothing tells that it is gone.

/// So little is not worth a look.
pub(super) const FEW: usize = 64;

/// How much may be held before it is looked through: twice what was left the last time, so that each thing is looked at once or twice in its life.
pub(super) struct Crowd(usize);

impl Crowd {
    /// Whether so much is worth a look.
    pub fn is_over(&self, held: usize) -> bool {
        held > self.0
    }

    /// It was looked through, and so much was left.
    pub fn left(&mut self, held: usize) {
        self.0 = (2 * held).max(FEW);
    }
}

impl Default for Crowd {
    fn default() -> Self {
        Self(FEW)
    }
}
