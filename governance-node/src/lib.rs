//! `import { Governance } from 'governance'`: the core for Node and Bun. Nothing here decides anything; `index.js` gives it its shape.
#![cfg_attr(test, allow(dead_code, reason = "napi registers functions for a loader only, and a test build has none"))]

mod blackboard;
mod error;
mod governance;
mod vocabulary;
