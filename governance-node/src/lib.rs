//! `import { Governance } from 'governance'`: the core for Node and Bun. Nothing here decides anything; `index.js` gives it its shape.

mod blackboard;
mod error;
mod governance;
mod vocabulary;
