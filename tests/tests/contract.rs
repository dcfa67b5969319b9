//! One suite passes on every backend, also when each call of each case fails in each way.

mod memory {
    governance::contract!(governance_tests::rigs::memory);
}

mod sqlite {
    governance::contract!(governance_tests::rigs::sqlite);
}

mod redis7 {
    governance::contract!(governance_tests::rigs::redis7);
}

mod valkey9 {
    governance::contract!(governance_tests::rigs::valkey9);
}

/// Which keys a script names follows from its commit, and a repeat is the same commit: one call for each fault shows it.
mod redis7_strict_keys {
    governance::contract!(governance_tests::rigs::redis7_strict_keys, sampled);
}

mod sentinel {
    governance::contract!(governance_tests::rigs::sentinel, sampled);
}

mod cluster {
    governance::contract!(governance_tests::rigs::cluster, sampled);
}

/// The scripts in the Lua of Dragonfly, which could not be had here: what is documented of it, before a real Redis.
mod lua54 {
    governance::contract!(governance_tests::rigs::lua54, sampled);
}
