//! A TCP proxy that cuts a connection after the server carried a request out, so that the answer is lost.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// The proxy. Its threads end with the connections.
pub struct Proxy {
    /// Where it listens.
    pub port: u16,
    armed: Arc<AtomicBool>,
    cuts: Arc<AtomicU32>,
}

impl Proxy {
    /// A proxy before a server's port.
    pub fn before(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Self { port: listener.local_addr().unwrap().port(), armed: Arc::default(), cuts: Arc::default() };
        let (armed, cuts) = (proxy.armed.clone(), proxy.cuts.clone());
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { continue };
                let (armed, cuts, struck) = (armed.clone(), cuts.clone(), Arc::new(AtomicBool::new(false)));
                let (up, down) = ((client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client));
                let marked = struck.clone();
                std::thread::spawn(move || {
                    pass(up.0, up.1, |piece| {
                        let commit = piece.windows(7).any(|word| word == b"EVALSHA");
                        if commit && armed.swap(false, Ordering::SeqCst) {
                            marked.store(true, Ordering::SeqCst);
                        }
                        true
                    });
                });
                std::thread::spawn(move || {
                    pass(down.0, down.1, |_| {
                        let cut = struck.load(Ordering::SeqCst);
                        cuts.fetch_add(u32::from(cut), Ordering::SeqCst);
                        !cut
                    });
                });
            }
        });
        proxy
    }

    /// Cuts the connection of the next script call, after the server answered it.
    pub fn cut_next(&self) {
        self.armed.store(true, Ordering::SeqCst);
    }

    /// How many answers were lost.
    pub fn cuts(&self) -> u32 {
        self.cuts.load(Ordering::SeqCst)
    }
}

/// Passes pieces on while they may.
fn pass(mut from: TcpStream, mut to: TcpStream, mut may: impl FnMut(&[u8]) -> bool) {
    let mut piece = [0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut piece) {
        if !may(&piece[..read]) || to.write_all(&piece[..read]).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}
