//! Listens in on what goes to the emulator.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// A door on loopback that leads to another one and keeps what was said to it.
pub struct Tap {
    pub port: u16,
    heard: Arc<Mutex<Vec<u8>>>,
}

impl Tap {
    /// In front of what listens on loopback at `port`.
    pub fn start(port: u16) -> Tap {
        let door = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (at, heard) = (door.local_addr().unwrap().port(), Arc::default());
        let keeps = Arc::clone(&heard);
        thread::spawn(move || {
            for caller in door.incoming().map_while(Result::ok) {
                let Ok(callee) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else { continue };
                pass(caller.try_clone().unwrap(), callee.try_clone().unwrap(), Some(Arc::clone(&keeps)));
                pass(callee, caller, None);
            }
        });
        Tap { port: at, heard }
    }

    /// How often something was said.
    pub fn count(&self, words: &str) -> usize {
        let heard = self.heard.lock().unwrap();
        heard.windows(words.len()).filter(|it| *it == words.as_bytes()).count()
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, keeps: Option<Arc<Mutex<Vec<u8>>>>) {
    thread::spawn(move || {
        let mut part = [0; 1 << 14];
        while let Ok(read @ 1..) = from.read(&mut part) {
            if let Some(heard) = &keeps {
                heard.lock().unwrap().extend_from_slice(&part[..read]);
            }
            if to.write_all(&part[..read]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    });
}
