//! One suite passes on every backend, also when each call of each case fails in each way.

mod memory {
    governance::contract!(governance_tests::rigs::memory);
}

mod sqlite {
    governance::contract!(governance_tests::rigs::sqlite);
}
