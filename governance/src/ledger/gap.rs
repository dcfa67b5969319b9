//! What an exported file leaves out: the roots of the complete subtrees over it, so that the rest is still checked.
//!
//! ```text
//!   entries   1   2   3   4   5   6   7   8   9 …
//!   exported          3                   8         of one pipeline
//!   gaps     └─┬─┘        4   └─5─6─┘   7       9 …
//!            roots, as large as they stand in the tree of RFC 9162
//! ```
//!
//! Together with the entries they are an inclusion proof of all entries at once, and of their order.

use serde::{Deserialize, Serialize};

use super::hex;
use super::tree::{Hash, Tree, node};

/// A run of entries that are not in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gap {
    /// The first of them.
    pub from: u64,
    /// The last.
    pub through: u64,
    /// The roots of the complete subtrees over them, in order, in hex.
    pub roots: Vec<String>,
}

/// A gap that is being read through.
#[derive(Debug)]
pub(super) struct Open {
    from: u64,
    size: u64,
    // Complete subtrees: how high each is, and its root.
    subtrees: Vec<(u32, Hash)>,
}

impl Open {
    /// One that begins with an entry.
    pub fn new(from: u64) -> Self {
        Self { from, size: 0, subtrees: Vec::new() }
    }

    /// Takes the next entry's leaf.
    pub fn push(&mut self, leaf: Hash) {
        let (mut height, mut root) = (0, leaf);
        self.size += 1;
        let end = self.from - 1 + self.size;
        // Two of the same height are one, where one of twice the size begins in the tree.
        while let Some((left, hash)) = self.subtrees.last()
            && *left == height
            && end.is_multiple_of(2 << height)
        {
            root = node(hash, &root);
            height += 1;
            self.subtrees.pop();
        }
        self.subtrees.push((height, root));
    }

    /// Ends it.
    pub fn close(self) -> Gap {
        let roots = self.subtrees.iter().map(|(_, root)| hex::encode(root)).collect();
        Gap { from: self.from, through: self.from + self.size - 1, roots }
    }
}

impl Gap {
    /// Puts its subtrees into a tree that ends before it; false if they do not fit.
    pub(super) fn fill(&self, tree: &mut Tree) -> bool {
        if self.from != tree.size() + 1 || self.through < self.from {
            return false;
        }
        let mut roots = self.roots.iter();
        while tree.size() < self.through {
            let (at, left) = (tree.size(), self.through - tree.size());
            let height = at.trailing_zeros().min(left.ilog2());
            let root = roots.next().and_then(|root| hex::decode(root));
            if !root.is_some_and(|root| tree.join(height, root)) {
                return false;
            }
        }
        roots.next().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tree::leaf;
    use super::*;

    #[test]
    fn a_tree_with_any_gap_has_the_same_root() {
        let leaves: Vec<Hash> = (0..70_u8).map(|n| leaf(&[n], &[])).collect();
        let mut whole = Tree::default();
        leaves.iter().for_each(|leaf| whole.push(*leaf));
        for from in 1..=leaves.len() {
            for through in from..=leaves.len() {
                let mut open = Open::new(from as u64);
                leaves[from - 1..through].iter().for_each(|leaf| open.push(*leaf));
                let gap = open.close();
                assert_eq!((gap.from, gap.through), (from as u64, through as u64));
                let mut tree = Tree::default();
                leaves[..from - 1].iter().for_each(|leaf| tree.push(*leaf));
                let before = tree.clone();
                assert!(gap.fill(&mut tree), "{from} to {through}");
                leaves[through..].iter().for_each(|leaf| tree.push(*leaf));
                assert_eq!(tree, whole, "{from} to {through}");

                for wrong in [
                    Gap { roots: gap.roots[1..].to_vec(), ..gap.clone() },
                    Gap { roots: [gap.roots.clone(), vec![gap.roots[0].clone()]].concat(), ..gap.clone() },
                    Gap { from: gap.from + 1, ..gap.clone() },
                    Gap { through: gap.from - 1, ..gap.clone() },
                ] {
                    assert!(!wrong.fill(&mut before.clone()), "{wrong:?}");
                }
            }
        }
    }
}
