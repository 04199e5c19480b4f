//! Child processes that never outlive the tests, however those end.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::mpsc::{Sender, channel};
use std::sync::{LazyLock, Mutex};

/// A process that is killed, by its pid, when this value goes.
pub struct Guarded(pub Child);

impl Drop for Guarded {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

type Order = (Command, Sender<std::io::Result<Child>>);

/// The kernel sends the death signal when the *thread* that started the child ends, so one thread that lasts
/// as long as the process starts them all.
static STARTER: LazyLock<Mutex<Sender<Order>>> = LazyLock::new(|| {
    let (orders, inbox) = channel::<Order>();
    std::thread::spawn(move || {
        for (mut command, answer) in inbox {
            // The receiver waits for this very answer.
            let _ = answer.send(command.spawn());
        }
    });
    Mutex::new(orders)
});

/// Starts `command` so that it dies with this process, even if that is killed.
pub fn spawn(mut command: Command) -> std::io::Result<Child> {
    // SAFETY: prctl is async-signal-safe and touches nothing of ours.
    unsafe {
        command.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        });
    }
    let (answer, wait) = channel();
    STARTER.lock().expect("the starter").send((command, answer)).expect("the starter thread");
    wait.recv().expect("an answer of the starter thread")
}
