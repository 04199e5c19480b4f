//! Ports that lead from this machine into a region, or back.

use std::net::{Ipv4Addr, Shutdown, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use anyhow::Context;

use crate::accept;
use crate::region::ask_at;
use crate::wire::{Ask, Place};

/// Who does not answer so soon may be dead: the next one is asked as well, as browsers do.
const SOON: Duration = Duration::from_millis(300);

/// A port that leads elsewhere; closed when this is dropped.
pub struct Forward {
    listener: TcpListener,
    port: u16,
}

impl Forward {
    /// From a new port of the loopback to the first of some addresses, as seen from a place, that answers.
    pub(crate) fn into_region(
        socket: PathBuf,
        place: Place,
        to: Vec<SocketAddrV4>,
    ) -> anyhow::Result<Forward> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("listening on the loopback")?;
        Forward::of(listener, move || {
            let (say, said) = mpsc::channel();
            for to in &to {
                let (say, socket, ask) =
                    (say.clone(), socket.clone(), Ask::Dial { place: place.clone(), to: *to });
                thread::spawn(move || {
                    say.send(ask_at(&socket, &ask, &[]).ok().and_then(|mut it| it.1.pop()))
                });
                if let Ok(Some(line)) = said.recv_timeout(SOON) {
                    return Ok(TcpStream::from(line));
                }
            }
            drop(say);
            Ok(TcpStream::from(said.iter().flatten().next().context("nobody answers in the region")?))
        })
    }

    /// Joins every connection that comes with one that is made for it.
    pub(crate) fn of(
        listener: TcpListener,
        connect: impl Fn() -> anyhow::Result<TcpStream> + Send + Sync + 'static,
    ) -> anyhow::Result<Forward> {
        let port = listener.local_addr().context("asking for a port's number")?.port();
        let accepting = listener.try_clone().context("copying a listening socket")?;
        let connect = Arc::new(connect);
        thread::spawn(move || {
            accept::each(
                || accepting.accept(),
                |(near, _)| {
                    let connect = Arc::clone(&connect);
                    thread::spawn(move || {
                        // A connection that cannot be made is closed, which is all that a client would see anyway.
                        if let Ok(far) = connect() {
                            join(&near, &far);
                        }
                    });
                },
            );
        });
        Ok(Forward { listener, port })
    }

    /// Its number; on 127.0.0.1 if it leads into the region.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `http://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        // Ends the wait for connections of the thread above.
        let _ = nix::sys::socket::shutdown(self.listener.as_raw_fd(), nix::sys::socket::Shutdown::Both);
    }
}

fn join(near: &TcpStream, far: &TcpStream) {
    let copy = |mut from: &TcpStream, mut to: &TcpStream| {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    };
    thread::scope(|scope| {
        scope.spawn(|| copy(near, far));
        copy(far, near);
    });
}
