//! Waiting for connections: that one cannot be had, as while too many files are open, is not the end of all others.

use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use nix::errno::Errno;

/// Until somebody may have closed a file.
const PAUSE: Duration = Duration::from_millis(50);

/// Meets whoever comes, until the socket is shut down.
pub(crate) fn each<T>(mut accept: impl FnMut() -> io::Result<T>, mut meet: impl FnMut(T)) {
    loop {
        match accept() {
            Ok(it) => meet(it),
            Err(err) if is_shut(&err) => return,
            Err(_) => thread::sleep(PAUSE),
        }
    }
}

/// Whoever comes next; `None` when the socket is shut down.
pub(crate) async fn next(listener: &tokio::net::TcpListener) -> Option<(tokio::net::TcpStream, SocketAddr)> {
    loop {
        match listener.accept().await {
            Ok(it) => return Some(it),
            Err(err) if is_shut(&err) => return None,
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

fn is_shut(err: &io::Error) -> bool {
    // From a socket for datagrams something comes without a sender then, which is invalid as well.
    err.kind() == io::ErrorKind::InvalidInput || err.raw_os_error() == Some(Errno::EBADF as i32)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn whoever_comes_after_a_moment_without_files_is_met_and_a_socket_that_is_shut_is_the_end() {
        let error = |it: Errno| io::Error::from_raw_os_error(it as i32);
        let comes = [Ok(1), Err(error(Errno::EMFILE)), Err(error(Errno::ECONNABORTED)), Ok(2)];
        let comes = RefCell::new(comes.into_iter());
        let mut met = Vec::new();
        each(|| comes.borrow_mut().next().unwrap_or_else(|| Err(error(Errno::EINVAL))), |it| met.push(it));
        assert_eq!(met, [1, 2]);
    }
}
