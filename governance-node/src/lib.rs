//! `import { Governance } from 'governance'`: the core for Node and Bun. Nothing here decides anything; the files of JavaScript beside give it its shape.
#![cfg_attr(test, allow(dead_code, reason = "napi registers functions for a loader only, and a test build has none"))]

mod agent;
mod allowance;
mod approval;
mod blackboard;
mod budget;
mod bus;
mod consensus;
mod desk;
mod error;
mod governance;
mod house;
mod json;
mod ledger;
mod limits;
mod model;
mod policies;
mod preflight;
mod promotions;
mod revocation;
mod step;
mod stream;
mod tool;
mod vocabulary;
