//! What the suite needs to be able to do to a backend's state.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use crate::error::{Error, Result};
use crate::store::{Backend, Memory};
use crate::vocabulary::{Keys, Ports};

/// A backend under test, with hands on its state from outside.
#[async_trait]
pub trait Rig: Send + Sync + 'static {
    /// Another handle on the same state, as another process would have it.
    async fn open(&self, keys: &Keys) -> Result<Arc<dyn Backend>>;

    /// Whether a handle opened by another process would see the same state.
    fn shared(&self) -> bool;

    /// Forgets everything, as FLUSHALL does.
    async fn flush(&self) -> Result<()>;

    /// Keeps a copy of the state.
    async fn dump(&self) -> Result<()>;

    /// Puts the copy back under the open handles.
    async fn restore(&self) -> Result<()>;

    /// Brings a second server in step, which then hears nothing more. Where there is no server: keeps a copy.
    async fn mirror(&self) -> Result<()> {
        self.dump().await
    }

    /// Lets the server die and the one of the last `mirror` take over. Where there is no server: puts the copy back.
    async fn fail_over(&self) -> Result<()> {
        self.restore().await
    }

    /// Fills the server's memory up to its limit. False where it has none.
    async fn fill(&self) -> Result<bool> {
        Ok(false)
    }

    /// Takes the limit away again.
    async fn relieve(&self) -> Result<()> {
        Ok(())
    }
}

/// The memory backend under test.
#[derive(Default)]
pub struct MemoryRig {
    state: Mutex<Option<Arc<Memory>>>,
    dump: Mutex<Option<crate::store::Dump>>,
}

impl MemoryRig {
    fn memory(&self) -> Result<Arc<Memory>> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.clone().ok_or_else(|| Error::invalid("not_open", "no handle was opened yet"))
    }
}

#[async_trait]
impl Rig for MemoryRig {
    async fn open(&self, keys: &Keys) -> Result<Arc<dyn Backend>> {
        // Each subject has a tenant of its own, and a memory store serves one tenant: a new tenant gets a new store.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match &*state {
            Some(memory) if memory.serves(keys) => Ok(memory.clone()),
            _ => Ok(state.insert(Arc::new(Memory::new(keys, Ports::default()))).clone()),
        }
    }

    fn shared(&self) -> bool {
        false
    }

    async fn flush(&self) -> Result<()> {
        self.memory()?.flush();
        Ok(())
    }

    async fn dump(&self) -> Result<()> {
        let dump = self.memory()?.dump();
        *self.dump.lock().unwrap_or_else(PoisonError::into_inner) = Some(dump);
        Ok(())
    }

    async fn restore(&self) -> Result<()> {
        if let Some(dump) = &*self.dump.lock().unwrap_or_else(PoisonError::into_inner) {
            self.memory()?.restore(dump);
        }
        Ok(())
    }
}
