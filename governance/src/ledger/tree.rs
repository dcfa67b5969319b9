//! The Merkle tree of RFC 9162, kept as the roots of its complete subtrees.

use sha2::{Digest, Sha256};

/// A SHA-256.
pub(super) type Hash = [u8; 32];

/// A tree that only grows: its size and the roots of its complete subtrees, largest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tree {
    size: u64,
    peaks: Vec<Hash>,
}

impl Tree {
    /// Takes a tree up again; nothing if the peaks are not those of a tree of this size.
    pub fn resume(size: u64, peaks: &[u8]) -> Option<Self> {
        let (peaks, rest) = peaks.as_chunks::<32>();
        (rest.is_empty() && peaks.len() == size.count_ones() as usize).then(|| Self { size, peaks: peaks.to_vec() })
    }

    /// What [`resume`](Self::resume) takes.
    pub fn peaks(&self) -> Vec<u8> {
        self.peaks.concat()
    }

    /// How many leaves there are.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf by its hash.
    pub fn push(&mut self, leaf: Hash) {
        self.join(0, leaf);
    }

    /// Adds a complete subtree over 2^height leaves by its root; false if none can begin here.
    pub fn join(&mut self, height: u32, root: Hash) -> bool {
        let Some(leaves) = 1_u64.checked_shl(height).filter(|leaves| self.size.is_multiple_of(*leaves)) else { return false };
        let mut root = root;
        // Each complete subtree of the same height joins with the new one, as a carry runs through a binary number.
        for _ in 0..(self.size >> height).trailing_ones() {
            if let Some(left) = self.peaks.pop() {
                root = node(&left, &root);
            }
        }
        self.peaks.push(root);
        self.size += leaves;
        true
    }

    /// The root over all leaves.
    pub fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev();
        let Some(last) = peaks.next() else { return Sha256::digest([]).into() };
        peaks.fold(*last, |right, left| node(left, &right))
    }
}

/// The hash of a leaf, whose data comes in two parts.
pub(super) fn leaf(head: &[u8], tail: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(head).chain_update(tail).finalize().into()
}

/// The hash over two subtrees.
pub(super) fn node(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition, word by word.
    fn naive(leaves: &[Vec<u8>]) -> Hash {
        match leaves {
            [] => Sha256::digest([]).into(),
            [one] => leaf(one, &[]),
            many => {
                let split = many.len().next_power_of_two() / 2;
                node(&naive(&many[..split]), &naive(&many[split..]))
            }
        }
    }

    proptest! {
        #[test]
        fn the_tree_is_the_one_of_the_definition(leaves in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..8), 0..70)) {
            let mut tree = Tree::default();
            for (count, data) in leaves.iter().enumerate() {
                prop_assert_eq!(tree.root(), naive(&leaves[..count]));
                tree = Tree::resume(tree.size(), &tree.peaks()).unwrap();
                tree.push(leaf(data, &[]));
            }
            prop_assert_eq!(tree.root(), naive(&leaves));
        }
    }

    #[test]
    fn the_known_roots_of_certificate_transparency() {
        let hex = |hash: Hash| hash.iter().map(|b| format!("{b:02x}")).collect::<String>();
        let leaves: [&[u8]; 8] = [b"", &[0x00], &[0x10], &[0x20, 0x21], &[0x30, 0x31], b"@ABC", b"PQRSTUVW", b"`abcdefghijklmno"];
        let roots = [
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        let mut tree = Tree::default();
        assert_eq!(hex(tree.root()), roots[0]);
        for (data, root) in leaves.iter().zip(&roots[1..]) {
            tree.push(leaf(data, &[]));
            assert_eq!(hex(tree.root()), *root);
        }
    }

    #[test]
    fn peaks_of_another_size_are_not_taken_up() {
        assert!(Tree::resume(3, &[0; 32]).is_none());
        assert!(Tree::resume(1, &[0; 31]).is_none());
        assert!(Tree::resume(2, &[0; 32]).is_some());
    }
}
